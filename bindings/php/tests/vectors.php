<?php

declare(strict_types=1);

/*
 * The vectors that every binding passes: conformance/vectors/README.md says what the fields mean.
 */

use Mullama\Model;
use Mullama\Runtime;
use Mullama\Stream;

/** Whether a test of this name is a case of the vectors. */
function isVector(string $name): bool
{
    return in_array(strstr($name, '/', true), ['echo', 'smollm2', 'daemon'], true);
}

/** The name of the model that the cases are for. */
function vectorModelName(string $name): string
{
    return match ($name) {
        'echo' => 'echo',
        'smollm2' => realModel(),
        'daemon' => 'smollm2',
    };
}

/** The model that the cases of a file are for, loaded once. */
function vectorModel(string $name, object $load): Model
{
    static $models = [];
    return $models[$name] ??= vectorRuntime($name)->load(
        vectorModelName($name),
        ...get_object_vars($load),
    );
}

function vectorRuntime(string $name): Runtime
{
    static $runtimes = [];
    return $runtimes[$name] ??= $name === 'daemon'
        ? new Runtime(url: (string) getenv('MULLAMA_TEST_URL'))
        : new Runtime(echo: $name === 'echo');
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
function perform(object $case, string $name, object $load): mixed
{
    if ($case->op === 'load') {
        $options = get_object_vars($case->options);
        return vectorRuntime($name)->load($case->model, ...$options);
    }
    if ($case->op === 'open') {
        return openVector($case);
    }
    $model = vectorModel($name, $load);
    $flags = $case->flags ?? [];
    return match ($case->op) {
        'tokenize' => $model->tokenize(
            $case->text,
            addSpecial: in_array('add_special', $flags, true),
            parseSpecial: in_array('parse_special', $flags, true),
        ),
        'detokenize' => $model->detokenize($case->tokens),
        'render' => $model->render($case->request),
        'chat' => readAnswer($case, $model->chat($case->request)),
        'generate' => readAnswer($case, $model->generate($case->request)),
    };
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

function runCase(object $case, string $name, object $load): void
{
    $skip = (array) ($case->skip ?? []);
    foreach (['php', $name] as $runner) {
        if (isset($skip[$runner])) {
            throw new Skip((string) $skip[$runner]);
        }
    }
    if (isset($case->want_error)) {
        $call = static fn (): mixed => perform($case, $name, $load);
        fails($case->want_error, $case->want_message ?? '', $call);
        return;
    }
    $got = perform($case, $name, $load);
    if ($case->op === 'tokenize') {
        same($got, $case->tokens, 'tokens');
    } elseif (isset($case->want_text)) {
        same($got, $case->want_text, 'text');
    }
}

$needs = ['echo' => 'MULLAMA_LIBRARY', 'smollm2' => 'MULLAMA_TEST_MODEL',
    'daemon' => 'MULLAMA_TEST_URL'];
foreach ($needs as $name => $variable) {
    if (!getenv($variable)) {
        continue;
    }
    $folder = dirname(__DIR__, 3) . '/conformance/vectors';
    $file = $folder . ($name === 'echo' ? '/echo.json' : '/smollm2.json');
    $places = ['$VECTORS' => $folder, '$MODEL' => vectorModelName($name)];
    $text = strtr((string) file_get_contents($file), $places);
    $vectors = json_decode($text, flags: JSON_THROW_ON_ERROR);
    foreach ($vectors->cases as $case) {
        test("$name/{$case->name}", static fn () => runCase($case, $name, $vectors->load));
    }
}
