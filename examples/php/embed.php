<?php

declare(strict_types=1);

// Finds the document that is nearest to a question: php embed.php MODEL

require __DIR__ . '/../../bindings/php/autoload.php';

$documents = [
    'Paris is the capital of France.', 'Bananas are rich in potassium.', 'A llama is a camelid.',
];
$name = $argv[1] ?? throw new InvalidArgumentException('usage: php embed.php MODEL');
$model = (new Mullama\Runtime())->load($name);
$question = $model->embed('What is the capital of France?')[0]->vector();
$scores = [];
foreach ($model->embed($documents) as $embedding) {
    // Their length is 1, so that the sum of products is the cosine.
    $products = array_map(fn ($x, $y) => $x * $y, $question, $embedding->vector());
    $scores[] = array_sum($products);
}
echo $documents[array_search(max($scores), $scores)], "\n";
