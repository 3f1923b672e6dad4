<?php

declare(strict_types=1);

/*
 * The vectors that every binding passes: conformance/vectors/README.md says what the fields mean.
 */

use Mullama\Embedding;
use Mullama\Index;
use Mullama\Model;
use Mullama\Ranking;
use Mullama\Runtime;
use Mullama\Stream;

/** Each file of vectors, with the variable that names its model. */
const VECTOR_MODELS = ['smollm2' => 'MULLAMA_TEST_MODEL', 'minilm' => 'MULLAMA_TEST_EMBED_MODEL',
    'ranker' => 'MULLAMA_TEST_RANK_MODEL'];

/** Whether a test of this name is a case of the vectors. */
function isVector(string $name): bool
{
    $run = (string) strstr($name, '/', true);
    return in_array($run, ['echo', 'daemon'], true) || isset(VECTOR_MODELS[$run]);
}

/** The name of the model that the cases of a file are for in a run. */
function vectorModelName(string $file, string $run): string
{
    $path = $run === $file && isset(VECTOR_MODELS[$file]) ? getenv(VECTOR_MODELS[$file]) : '';
    return $path ? (string) realpath($path) : $file;
}

/** The model that the cases of a file are for, loaded once. */
function vectorModel(string $file, string $run, object $load): Model
{
    static $models = [];
    return $models["$run/$file"] ??= vectorRuntime($run)->load(
        vectorModelName($file, $run),
        ...get_object_vars($load),
    );
}

function vectorRuntime(string $run): Runtime
{
    static $runtimes = [];
    return $runtimes[$run] ??= $run === 'daemon'
        ? new Runtime(url: (string) getenv('MULLAMA_TEST_URL'))
        : new Runtime(echo: $run === 'echo');
}

/** Opens a runtime of the case's own, and loads a model if one is named. */
function openVector(object $case): mixed
{
    $options = [];
    foreach (get_object_vars($case->options) as $option => $value) {
        $options[lcfirst(str_replace('_', '', ucwords($option, '_')))] = $value;
    }
    $runtime = new Runtime(...$options);
    return isset($case->model) ? $runtime->load($case->model) : $runtime->info();
}

/** Does what a case says and gives what it compares: tokens, or a text. */
function perform(object $case, string $file, string $run, object $load): mixed
{
    if ($case->op === 'load') {
        $options = get_object_vars($case->options);
        return vectorRuntime($run)->load($case->model, ...$options);
    }
    if ($case->op === 'open') {
        return openVector($case);
    }
    $model = vectorModel($file, $run, $load);
    $flags = $case->flags ?? [];
    return match ($case->op) {
        'tokenize' => $model->tokenize(
            $case->text,
            addSpecial: in_array('add_special', $flags, true),
            parseSpecial: in_array('parse_special', $flags, true),
        ),
        'detokenize' => $model->detokenize($case->tokens),
        'render' => $model->render($case->request),
        'index' => sameFound($case, vectorRuntime($run), $model),
        'chat' => readAnswer($case, $model->chat($case->request)),
        'generate' => readAnswer($case, $model->generate($case->request)),
        'embed' => sameEmbeddings($case, $model->embed($case->request)),
        'rerank' => sameRanking($case, rank($case, $model->rerank(...))),
        'score' => sameRanking($case, rank($case, $model->score(...))),
    };
}

function rank(object $case, Closure $by): Ranking
{
    return $by(...(get_object_vars($case->request) + ['query' => '']));
}

/**
 * Compares embeddings. What is wrong with one text is thrown, unless the case wants it.
 *
 * @param list<Embedding> $got
 */
function sameEmbeddings(object $case, array $got): void
{
    if (isset($case->want_errors)) {
        $statuses = array_map(static fn (Embedding $e): string => $e->error?->status ?? '', $got);
        same($statuses, $case->want_errors, 'errors of the texts');
        return;
    }
    foreach ($got as $i => $embedding) {
        same($embedding->vector(), $embedding->rows[0], 'vector');
        same(count($embedding->rows), count($case->want_embeddings[$i]), 'rows');
        array_map(sameRow(...), $embedding->rows, $case->want_embeddings[$i]);
    }
    same(count($got), count($case->want_embeddings), 'embeddings');
    same(array_column($got, 'tokens'), $case->want_tokens ?? array_column($got, 'tokens'));
    $truncated = array_column($got, 'truncated');
    same($truncated, $case->want_truncated ?? $truncated, 'truncated');
}

/**
 * @param list<float> $got
 * @param list<float> $want
 */
function sameRow(array $got, array $want): void
{
    same(count($got), count($want), 'numbers of a row');
    $product = static fn (array $a, array $b): float
        => array_sum(array_map(static fn ($x, $y) => $x * $y, $a, $b));
    [$mine, $theirs] = [sqrt($product($got, $got)), sqrt($product($want, $want))];
    $cosine = $product($got, $want) / ($mine * $theirs);
    same($cosine >= 0.9999, true, "the cosine $cosine is large enough");
    same(abs($mine / $theirs - 1) <= 0.02, true, "the length $mine is near $theirs");
}

function sameRanking(object $case, Ranking $got): void
{
    same(array_column($got->results, 'index'), array_column($case->want_scores, 'index'), 'order');
    foreach ($case->want_scores as $i => $want) {
        $off = abs($got->results[$i]->score - $want->score);
        same($off <= 0.03 * max(1, abs($want->score)), true, "off by $off");
    }
    same($got->method, $case->want_method ?? $got->method, 'method');
    same($got->tokens > 0, true, 'tokens');
}

/** Fills an index, opens it anew, and compares what a search finds. */
function sameFound(object $case, Runtime $runtime, Model $model): void
{
    $model = in_array('no_model', $case->flags ?? [], true) ? null : $model;
    $own = (string) tempnam(sys_get_temp_dir(), 'mullama-');
    unlink($own);
    $path = $case->model ?? $own;
    try {
        $index = $runtime->openIndex($path, $model, ...(array) ($case->options ?? []));
        foreach ($case->add as $request) {
            $index->add($request->documents);
        }
        if (isset($case->train)) {
            $index->train(...(array) $case->train);
        }
        $index->close();
        searchIndex($case, $runtime->openIndex($path, $model));
    } finally {
        if (is_file($own)) {
            unlink($own);
        }
    }
}

function searchIndex(object $case, Index $index): void
{
    $got = $index->search(...(array) $case->request);
    same(array_column($got, 'id'), array_column($case->want_found, 'id'), 'documents');
    foreach ($case->want_found as $i => $want) {
        $off = abs($got[$i]->score - $want->score);
        same($off <= 0.03 * max(1, abs($want->score)), true, "off by $off");
    }
    foreach ($case->want_info ?? [] as $field => $want) {
        same($index->info()[$field] ?? null, $want, $field);
    }
    $index->verify();
}

/** Reads an answer, compares its parts and its end, and gives its text. */
function readAnswer(object $case, Stream $stream): string
{
    $parts = [];
    $logprobs = [];
    $last = [];
    foreach ($stream as $chunk) {
        $parts[] = $chunk->text;
        $last = $chunk->json;
        array_push($logprobs, ...($chunk->json['logprobs'] ?? []));
        if (count($parts) === ($case->cancel_after ?? 0)) {
            $stream->cancel();
        }
    }
    if (isset($case->want_parts)) {
        same($parts, $case->want_parts, 'parts');
    }
    foreach ($case->want_last ?? [] as $field => $want) {
        same($last[$field] ?? null, $want, $field);
    }
    if (isset($case->want_logprobs)) {
        sameLogprobs($logprobs, $case->want_logprobs);
    }
    return implode('', $parts);
}

/**
 * @param list<array<string, mixed>> $got
 * @param list<object> $wanted
 */
function sameLogprobs(array $got, array $wanted): void
{
    same(count($got), count($wanted), 'number of log probabilities');
    foreach ($wanted as $i => $want) {
        same($got[$i]['token'], $want->token, 'token');
        same(count($got[$i]['top_logprobs'] ?? []), $want->top, 'likeliest tokens');
        same(abs($got[$i]['logprob'] - $want->logprob) <= 0.05, true, "logprob of $want->token");
    }
}

function runCase(object $case, string $file, string $run, object $load): void
{
    $skip = (array) ($case->skip ?? []);
    foreach (['php', $run] as $runner) {
        if (isset($skip[$runner])) {
            throw new Skip((string) $skip[$runner]);
        }
    }
    if (isset($case->want_error)) {
        $call = static fn (): mixed => perform($case, $file, $run, $load);
        fails($case->want_error, $case->want_message ?? '', $call);
        return;
    }
    $got = perform($case, $file, $run, $load);
    if ($case->op === 'tokenize') {
        same($got, $case->tokens, 'tokens');
    } elseif (isset($case->want_text)) {
        same($got, $case->want_text, 'text');
    }
}

/** Makes a test of each case of a file. */
function testVectors(string $file, string $run): void
{
    $folder = dirname(__DIR__, 3) . '/conformance/vectors';
    $places = ['$VECTORS' => $folder, '$MODEL' => vectorModelName($file, $run)];
    $text = strtr((string) file_get_contents("$folder/$file.json"), $places);
    $vectors = json_decode($text, flags: JSON_THROW_ON_ERROR);
    foreach ($vectors->cases as $case) {
        $body = static fn () => runCase($case, $file, $run, $vectors->load);
        test("$run/{$case->name}", $body);
    }
}

testVectors('echo', 'echo');
foreach (VECTOR_MODELS as $file => $variable) {
    if (getenv($variable)) {
        testVectors($file, $file);
    }
    if (getenv($variable) && getenv('MULLAMA_TEST_URL')) {
        testVectors($file, 'daemon');
    }
}
