<?php

declare(strict_types=1);

// Asks ten things at once: php concurrent.php MODEL
//
// PHP has no threads and needs none for this: all answers are begun before the first is read, so
// the model computes them together while the program waits for the first.

require __DIR__ . '/../../bindings/php/autoload.php';

$name = $argv[1] ?? throw new InvalidArgumentException('usage: php concurrent.php MODEL');
$model = (new Mullama\Runtime())->load($name, slots: 10);
$streams = [];
for ($i = 0; $i < 10; $i++) {
    $streams[] = $model->chat([
        ['role' => 'system', 'content' => 'You are a helpful assistant.'],
        ['role' => 'user', 'content' => 'What is the capital of France?'],
    ], options: ['temperature' => 0]);
}
$answers = array_map(static fn (Mullama\Stream $stream): string => $stream->text(), $streams);
$same = count(array_unique($answers)) === 1;
echo count($answers), ' answers, all the same: ', $same ? 'true' : 'false', "\n";
