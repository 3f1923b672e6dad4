<?php

declare(strict_types=1);

// Asks a model one thing: php chat.php MODEL

require __DIR__ . '/../../bindings/php/autoload.php';

$name = $argv[1] ?? throw new InvalidArgumentException('usage: php chat.php MODEL');
$model = (new Mullama\Runtime())->load($name);
$answer = $model->chat([
    ['role' => 'system', 'content' => 'You are a helpful assistant.'],
    ['role' => 'user', 'content' => 'What is the capital of France?'],
], options: ['temperature' => 0]);
echo $answer->text(), "\n";
