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
    return str_starts_with($name, 'echo/') || str_starts_with($name, 'smollm2/');
}

/** The model that the cases of a file are for, loaded once. */
function vectorModel(string $name, object $load): Model
{
    static $models = [];
    return $models[$name] ??= vectorRuntime($name)->load(
        $name === 'echo' ? 'echo' : realModel(),
        ...get_object_vars($load),
    );
}

function vectorRuntime(string $name): Runtime
{
    static $runtimes = [];
    return $runtimes[$name] ??= new Runtime(echo: $name === 'echo');
}

/** Does what a case says and gives what it compares: tokens, or a text. */
function perform(object $case, string $name, object $load): mixed
{
    if ($case->op === 'load') {
        $options = get_object_vars($case->options);
        return vectorRuntime($name)->load($case->model, ...$options);
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
    $last = [];
    foreach ($stream as $chunk) {
        $parts[] = $chunk->text;
        $last = $chunk->json;
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
    return implode('', $parts);
}

function runCase(object $case, string $name, object $load): void
{
    $skip = (array) ($case->skip ?? []);
    if (isset($skip['php'])) {
        throw new Skip((string) $skip['php']);
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

foreach (['echo', 'smollm2'] as $name) {
    if ($name !== 'echo' && !getenv('MULLAMA_TEST_MODEL')) {
        continue;
    }
    $file = dirname(__DIR__, 3) . "/conformance/vectors/$name.json";
    $vectors = json_decode((string) file_get_contents($file), flags: JSON_THROW_ON_ERROR);
    foreach ($vectors->cases as $case) {
        test("$name/{$case->name}", static fn () => runCase($case, $name, $vectors->load));
    }
}
