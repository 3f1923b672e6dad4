<?php

declare(strict_types=1);

/*
 * What the tests are written with. A test is a name and a function, which throws when it fails and
 * throws Skip when this machine lacks what it needs. run.php runs them.
 */

final class Skip extends Exception
{
}

/** @var array<string, Closure> $tests */
$tests = [];

function test(string $name, Closure $body): void
{
    global $tests;
    if (isset($tests[$name])) {
        throw new LogicException("two tests are named $name");
    }
    $tests[$name] = $body;
}

function same(mixed $got, mixed $want, string $what = 'value'): void
{
    if ($got !== $want) {
        throw new Exception("$what: got " . show($got) . ', want ' . show($want));
    }
}

function contains(string $got, string $part, string $what = 'text'): void
{
    if (!str_contains($got, $part)) {
        throw new Exception("$what: got " . show($got) . ', want a part ' . show($part));
    }
}

function show(mixed $value): string
{
    return json_encode($value, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE) ?: '?';
}

/** Calls a function that has to fail with the status, by an exception of its own class. */
function fails(string $status, string $message, Closure $body): Mullama\MullamaException
{
    try {
        $body();
    } catch (Mullama\MullamaException $e) {
        same($e->status, $status, "status of \"{$e->getMessage()}\"");
        $class = 'Mullama\\Exception\\' . str_replace('_', '', ucwords($status, '_'));
        same($e::class, $class, 'class');
        contains($e->getMessage(), $message, 'message');
        return $e;
    }
    throw new Exception("no exception, want $status");
}

/**
 * Runs a PHP program on its own, with settings such as ffi.enable=true.
 *
 * @param list<string> $settings
 * @param array<string, string> $environment
 * @return array{int, string} how it ended, and what it wrote
 */
function php(string $code, array $settings = [], array $environment = []): array
{
    $autoload = var_export(dirname(__DIR__) . '/autoload.php', true);
    $file = temporary('.php');
    file_put_contents($file, "<?php\nrequire_once $autoload;\nuse Mullama\\Runtime;\n$code");
    $command = [PHP_BINARY, '-d', 'display_errors=stdout', '-d', 'log_errors=0'];
    foreach ($settings as $setting) {
        array_push($command, '-d', $setting);
    }
    return command([...$command, $file], $environment);
}

/**
 * @param list<string> $command
 * @param array<string, string> $environment
 * @return array{int, string}
 */
function command(array $command, array $environment = [], ?string $folder = null): array
{
    $streams = [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]];
    $process = proc_open($command, $streams, $pipes, $folder, $environment + getenv());
    $output = (string) stream_get_contents($pipes[1]);
    return [proc_close($process), $output];
}

/** A path in a folder that is removed at the end. */
function temporary(string $suffix): string
{
    static $folder = null;
    static $count = 0;
    if ($folder === null) {
        $folder = sys_get_temp_dir() . '/mullama-php-' . bin2hex(random_bytes(8));
        mkdir($folder, 0700);
        register_shutdown_function(static fn () => command(['rm', '-rf', $folder]));
    }
    return $folder . '/' . ++$count . $suffix;
}

/** The echo model, with a context that holds every text of the tests. */
function echoModel(): Mullama\Model
{
    static $model = null;
    return $model ??= (new Mullama\Runtime(echo: true))->load('echo', ctx_size: 8192);
}

/** The path of the real model. */
function realModel(): string
{
    return getenv('MULLAMA_TEST_MODEL') ?: throw new Skip('MULLAMA_TEST_MODEL is not set');
}

/** @return list<array{role: string, content: string}> */
function user(string $text): array
{
    return [['role' => 'user', 'content' => $text]];
}
