<?php

declare(strict_types=1);

// Prints an answer while it is generated, with a | after each part: php stream.php MODEL

require __DIR__ . '/../../bindings/php/autoload.php';

$name = $argv[1] ?? throw new InvalidArgumentException('usage: php stream.php MODEL');
$model = (new Mullama\Runtime())->load($name);
$answer = $model->chat([
    ['role' => 'system', 'content' => 'You are a helpful assistant.'],
    ['role' => 'user', 'content' => 'What is the capital of France?'],
], options: ['temperature' => 0]);
foreach ($answer as $chunk) {
    if ($chunk->text !== '') {
        echo $chunk->text, '|';
    }
    if ($chunk->done) {
        echo "\n{$chunk->json['eval_count']} tokens\n";
    }
}
