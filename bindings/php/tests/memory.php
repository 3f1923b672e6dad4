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

/** A program that prints by how much 10,000 rounds raise the memory of its process. */
const ROUNDS = <<<'END'
    function resident(): int
    {
        return 4096 * (int) explode(' ', file_get_contents('/proc/self/statm'))[1];
    }

    function round_of_calls(): void
    {
        $runtime = new Runtime(echo: true);
        $model = $runtime->load('echo', static fn (float $fraction): bool => true);
        $model->info();
        $model->detokenize($model->tokenize('Hello')) === 'Hello' || exit('bytes');
        $model->generate('Hello')->text() === 'Hello' || exit('text');
        foreach ($model->generate('Hello') as $chunk) {
            $chunk->text === 'H' || exit('part');
            break;
        }
        try {
            $model->generate('');
        } catch (Mullama\Exception\Invalid) {
            return;
        }
        exit('no exception');
    }

    /** The least memory after one of so many rounds: between Go's collections there is more. */
    function least_of(int $rounds): int
    {
        $least = PHP_INT_MAX;
        while ($rounds-- > 0) {
            round_of_calls();
            $least = min($least, resident());
        }
        return $least;
    }

    least_of(1000);
    $before = least_of(1000);
    least_of(7000);
    echo least_of(1000) - $before;
    END;

test('memory of the process is flat over 10,000 rounds', static function (): void {
    if (!is_readable('/proc/self/statm')) {
        throw new Skip('no /proc');
    }
    [, $output] = php(ROUNDS);
    same(is_numeric($output) && $output <= 2 << 20, true, "$output, which is less than 2 MB");
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
