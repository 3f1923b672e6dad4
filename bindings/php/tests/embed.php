<?php

declare(strict_types=1);

/*
 * Embeddings: their rows, and the errors of single texts.
 */

test('texts and whole requests give the same embeddings', static function (): void {
    $model = echoModel();
    same($model->embed('ab', normalize: false)[0]->vector(), [97.5, 1.0]);
    same($model->embed(['ab'], normalize: false)[0]->vector(), [97.5, 1.0]);
    $whole = ['input' => ['ab'], 'normalize' => false];
    same($model->embed($whole)[0]->vector(), [97.5, 1.0]);
    same($model->embed((object) $whole)[0]->vector(), [97.5, 1.0]);
});

test('without pooling each token has a row', static function (): void {
    [$first, $second] = echoModel()->embed(['ab', 'c'], pooling: 'none', normalize: false);
    same($first->rows, [[97.0, 1.0], [98.0, 1.0]]);
    same([$first->tokens, $first->truncated, $first->error], [2, false, null]);
    same($second->rows, [[99.0, 1.0]]);
});

test('each text has its embedding or its error', static function (): void {
    [$good, $empty, $long] = echoModel()->embed(['a', '', str_repeat('x', 9000)]);
    same($good->error, null);
    same($empty->rows, []);
    fails('invalid', 'empty', $empty->vector(...));
    fails('context_full', '9000 tokens', $long->vector(...));
});

test('requests that cannot be embedded or ranked are refused', static function (): void {
    $model = echoModel();
    fails('invalid', 'at least one text', static fn () => $model->embed([]));
    fails('invalid', 'names', static fn () => $model->embed('a', 'none'));
    fails('invalid', 'UTF-8', static fn () => $model->embed("\xff"));
    fails('invalid', 'names', static fn () => $model->rerank('q', ['a'], 3));
    fails('invalid', 'query', static fn () => $model->rerank('', ['a']));
    fails('unsupported', 'rank', static fn () => $model->rerank('q', ['a']));
    fails('unsupported', 'score', static fn () => $model->score('q', ['a']));
});

test('a closed model does not embed', static function (): void {
    $model = (new Mullama\Runtime(echo: true))->load('echo');
    $model->close();
    fails('closed', 'closed', static fn () => $model->embed('a'));
    fails('closed', 'closed', static fn () => $model->rerank('q', ['a']));
});

test('embeddings leave memory flat', static function (): void {
    $model = echoModel();
    $after = [];
    for ($round = 1; $round <= 2000; $round++) {
        $model->embed(['abc', '', 'd'], pooling: 'none');
        if ($round === 200 || $round === 2000) {
            gc_collect_cycles();
            $after[] = memory_get_usage();
        }
    }
    $grown = $after[1] - $after[0];
    same($grown < 1024, true, "grew by $grown bytes, which is less than 1024");
});
