<?php

declare(strict_types=1);

/*
 * What only a real model shows. These tests are skipped without MULLAMA_TEST_MODEL.
 */

use Mullama\Model;
use Mullama\Runtime;

const CAPITAL = [
    ['role' => 'system', 'content' => 'You are a helpful assistant.'],
    ['role' => 'user', 'content' => 'What is the capital of France?'],
];

/** An answer that does not end by itself before a test ends it. */
const LONG = ['temperature' => 0, 'ignore_eos' => true, 'num_predict' => 400];

/** The real model with one slot, so that a request waits for the one before it. */
function narrowModel(): Model
{
    static $model = null;
    return $model ??= (new Runtime())->load(realModel(), ctx_size: 512, slots: 1);
}

function ask(Model $model): string
{
    return $model->chat(CAPITAL, options: ['temperature' => 0])->text();
}

test('a model that is left in the loop has its slot free', static function (): void {
    $model = narrowModel();
    for ($i = 0; $i < 5; $i++) {
        try {
            foreach ($model->generate('Once', options: LONG) as $chunk) {
                throw new DomainException($chunk->text);
            }
        } catch (DomainException) {
            same(ask($model), 'The capital of France is Paris.', "answer $i");
        }
    }
});

test('a stream that is dropped unread has its slot free', static function (): void {
    $model = narrowModel();
    $stream = $model->generate('Once', options: LONG);
    unset($stream);
    same(ask($model), 'The capital of France is Paris.');
});

test('a real answer is cancelled', static function (): void {
    $stream = narrowModel()->generate('Once upon a time', options: LONG);
    $stream->next();
    $stream->cancel();
    $answer = $stream->collect();
    same($answer->doneReason, 'cancelled');
    same($answer->evalCount < 400, true, 'it ended early');
});

test('answers of a real model begun together are the same as one alone', static function (): void {
    $model = (new Runtime())->load(realModel(), ctx_size: 2048, slots: 8);
    $alone = ask($model);
    $streams = [];
    for ($i = 0; $i < 8; $i++) {
        $streams[] = $model->chat(CAPITAL, options: ['temperature' => 0]);
    }
    foreach ($streams as $stream) {
        same($stream->text(), $alone);
    }
    $model->close();
});

test('logprobs are in the parts and in the answer', static function (): void {
    $options = ['temperature' => 0, 'num_predict' => 3];
    $parts = narrowModel()->chat(CAPITAL, logprobs: true, options: $options);
    $first = $parts->next();
    same(count($first?->logprobs() ?? []), 1, 'logprobs of a part');
    $answer = narrowModel()->chat(CAPITAL, logprobs: true, options: $options)->collect();
    same(implode('', array_column($answer->logprobs, 'token')), $answer->text);
});

test('a vocabulary alone does not answer', static function (): void {
    $model = (new Runtime())->load(realModel(), vocab_only: true);
    same($model->detokenize($model->tokenize('Hello')), 'Hello');
    fails('unsupported', 'vocab', static fn () => $model->chat(CAPITAL));
});

test('closing a real model ends its streams', static function (): void {
    $model = (new Runtime())->load(realModel(), ctx_size: 512);
    $stream = $model->generate('Once', options: LONG);
    $stream->next();
    $model->close();
    $parts = 0;
    try {
        while ($stream->next() !== null) {
            $parts++;
        }
    } catch (Mullama\MullamaException $e) {
        same(in_array($e->status, ['closed', 'cancelled'], true), true, $e->status);
    }
    same($parts < 399, true, 'the stream ended');
});

test('a program that ends with an open answer of a real model ends', static function (): void {
    $name = var_export(realModel(), true);
    [$code, $output] = php(
        "\$model = (new Runtime())->load($name, ctx_size: 512);"
        . '$stream = $model->generate("Once", options: ["num_predict" => 400]);'
        . '$stream->next(); echo "open"; exit(3);'
    );
    same([$code, $output], [3, 'open']);
});

test('the progress of a real load rises to the whole', static function (): void {
    $file = realModel();
    $told = [];
    $tell = static function (float $fraction) use (&$told): void {
        $told[] = $fraction;
    };
    $runtime = new Mullama\Runtime();
    $model = $runtime->load($file, $tell, ctx_size: 128, load_mode: 'read');
    $sorted = $told;
    sort($sorted);
    same($told, $sorted, 'progress');
    same(count($told) > 2 && end($told) === 1.0, true, 'the whole is told last');
    $told = [];
    $runtime->load($file, $tell, ctx_size: 128, load_mode: 'read')->close();
    same($told, [1.0], 'progress of a model that is loaded');
    $stop = static fn (float $fraction): bool => $fraction < 0.5;
    fails('cancelled', '', static fn () => $runtime->load($file, $stop, load_mode: 'direct'));
});
