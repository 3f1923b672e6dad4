<?php

declare(strict_types=1);

// The calls from PHP: README.md says what they are.

use Mullama\Library;
use Mullama\Model;
use Mullama\Runtime;
use Mullama\Stream;

require __DIR__ . '/../../bindings/php/autoload.php';

const TEXT = 'Hello, world!';
const STORY = 'Once upon a time, in a small village by the sea, there lived a';
const SAMPLES = 10_000;
const CALLS = 10; // in a sample
const WARM = 10; // samples that are not kept
const PARTS = 1000;
const STREAM_TOKENS = 256;
const STREAM_REPS = 3;
const REQUESTS = 16;
const REQUEST_TOKENS = 64;
const REQUEST_REPS = 2;

/** The nanoseconds that a call takes, the mean of each ten. */
function measure(callable $call): array
{
    $samples = [];
    for ($sample = -WARM; $sample < SAMPLES; $sample++) {
        $start = hrtime(true);
        for ($repeat = 0; $repeat < CALLS; $repeat++) {
            $call();
        }
        $each = (hrtime(true) - $start) / CALLS;
        if ($sample >= 0) {
            $samples[] = $each;
        }
    }
    return $samples;
}

function generate(Model $model, string $prompt, int $tokens): Stream
{
    return $model->generate($prompt, raw: true, options: ['temperature' => 0, 'num_predict' => $tokens]);
}

/** Reads an answer to its end, and counts its tokens. */
function drain(Stream $stream): int
{
    $tokens = 0;
    foreach ($stream as $chunk) {
        $tokens += count($chunk->tokens);
    }
    return $tokens;
}

function calls(string $path): array
{
    $model = (new Runtime())->load($path, vocab_only: true);
    $library = Library::load();
    return [
        'noop' => measure(static fn () => $library->call('mullama_noop')),
        'tokenize' => measure(static fn () => $model->tokenize(TEXT)),
    ];
}

function delays(): array
{
    $delay = [];
    $model = (new Runtime(echo: true))->load('clock');
    foreach (generate($model, '?', PARTS) as $chunk) {
        $now = hrtime(true);
        if (!$chunk->done) {
            $delay[] = $now - (int) $chunk->text;
        }
    }
    return ['delay' => $delay];
}

/** Does some work once to warm up and then some times more. */
function repeat(int $reps, callable $work): array
{
    $tokens = $seconds = [];
    $work();
    for ($rep = 0; $rep < $reps; $rep++) {
        $start = hrtime(true);
        $tokens[] = $work();
        $seconds[] = (hrtime(true) - $start) / 1e9;
    }
    return ['tokens' => $tokens, 'seconds' => $seconds];
}

function stream(string $path): array
{
    $model = (new Runtime())->load($path, slots: 1);
    return repeat(STREAM_REPS, static fn () => drain(generate($model, STORY, STREAM_TOKENS)));
}

function concurrent(string $path): array
{
    $model = (new Runtime())->load($path, slots: REQUESTS, ctx_size: 512);
    return repeat(REQUEST_REPS, static function () use ($model): int {
        $ask = static fn (int $i) => generate($model, "$i. " . STORY, REQUEST_TOKENS);
        $streams = array_map($ask, range(0, REQUESTS - 1)); // all are begun before one is read
        return array_sum(array_map(drain(...), $streams));
    });
}

$result = match ($argv[1] ?? '') {
    'calls' => calls($argv[2]),
    'delays' => delays(),
    'stream' => stream($argv[2]),
    'concurrent' => concurrent($argv[2]),
    default => exit("usage: php.php calls|delays|stream|concurrent [MODEL]\n"),
};
echo json_encode($result, JSON_THROW_ON_ERROR), "\n";
