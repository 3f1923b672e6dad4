<?php

declare(strict_types=1);

/*
 * Memory stays flat, and the garbage collector may come at any time.
 */

use Mullama\Model;
use Mullama\Runtime;

function memoryRound(Model $model): void
{
    $model->tokenize('Hello, world!');
    $model->detokenize([72, 105]);
    $model->info();
    $model->render(user('Hi'));
    $model->chat(user('Hi'))->collect();
    foreach ($model->generate('abc') as $chunk) {
        if ($chunk->text === 'b') {
            break;
        }
    }
    try {
        $model->generate(str_repeat('x', 9000));
    } catch (Mullama\Exception\ContextFull) {
        // The error is one of the things that are freed.
    }
    (new Runtime(echo: true))->load('echo')->generate('a')->next();
}

test('memory is flat over 2,000 rounds', static function (): void {
    $model = echoModel();
    $after = [];
    for ($round = 1; $round <= 2000; $round++) {
        memoryRound($model);
        if ($round === 200 || $round === 2000) {
            gc_collect_cycles();
            $after[] = memory_get_usage();
        }
    }
    $grown = $after[1] - $after[0];
    same($grown < 1024, true, "grew by $grown bytes, which is less than 1024");
});

test('streams in cycles are collected', static function (): void {
    $model = echoModel();
    for ($i = 0; $i < 1000; $i++) {
        $node = new stdClass();
        $node->self = $node;
        $node->stream = $model->generate('abc');
        $node->parts = $node->stream->getIterator();
        $node->parts->current();
        $weak = WeakReference::create($node->stream);
        unset($node);
        if ($i % 50 === 0) {
            gc_collect_cycles();
            same($weak->get(), null, 'a stream in a cycle');
        }
    }
});

test('the collector may run between all calls', static function (): void {
    $model = echoModel();
    $chunks = [];
    foreach ($model->generate('héllo') as $chunk) {
        gc_collect_cycles();
        $chunks[] = $chunk;
    }
    unset($chunk);
    gc_collect_cycles();
    same(implode('', $chunks), 'héllo');
    same($chunks[1]->tokens, [0xc3, 0xa9]);
});
