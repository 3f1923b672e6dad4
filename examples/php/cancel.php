<?php

declare(strict_types=1);

// Ends an answer before the model has finished it: php cancel.php MODEL

require __DIR__ . '/../../bindings/php/autoload.php';

$name = $argv[1] ?? throw new InvalidArgumentException('usage: php cancel.php MODEL');
$model = (new Mullama\Runtime())->load($name);
$answer = $model->generate('Once upon a time', options: ['temperature' => 0, 'num_predict' => 400]);
$parts = 0;
foreach ($answer as $chunk) {
    if (++$parts === 5) {
        $answer->cancel(); // the last part still comes
        echo "cancelled after 5 parts\n";
    }
    if ($chunk->done) {
        echo $chunk->json['done_reason'], "\n";
    }
}
