<?php

declare(strict_types=1);

/*
 * The package in a web server whose workers are forked after preload.php ran, as those of php-fpm.
 * The server that PHP has built in takes the same settings.
 */

/**
 * Starts a server with two workers, calls the function with its address and the id of the process
 * that forked them, and ends the server.
 *
 * @param list<string> $settings
 */
function serve(string $page, array $settings, Closure $use): void
{
    foreach (['pcntl', 'posix', 'Zend OPcache'] as $extension) {
        if (!extension_loaded($extension)) {
            throw new Skip("the extension $extension is not there");
        }
    }
    $folder = temporary('');
    mkdir($folder);
    file_put_contents("$folder/index.php", "<?php\nuse Mullama\\Runtime;\n$page");
    $address = freeAddress();
    $command = ['setsid', PHP_BINARY, '-d', 'display_errors=1', '-d', 'html_errors=0'];
    foreach ($settings as $setting) {
        array_push($command, '-d', $setting);
    }
    array_push($command, '-S', $address, '-t', $folder);
    $streams = [['file', '/dev/null', 'r'], ['file', "$folder/log", 'w'], ['redirect', 1]];
    $environment = ['PHP_CLI_SERVER_WORKERS' => '2'] + getenv();
    $server = proc_open($command, $streams, $pipes, null, $environment);
    try {
        awaitServer($address, $server, "$folder/log");
        $use($address, proc_get_status($server)['pid']);
    } finally {
        $pid = proc_get_status($server)['pid'];
        if (!posix_kill(-$pid, SIGKILL)) { // the server with its workers; or it has none yet
            posix_kill($pid, SIGKILL);
        }
        proc_close($server);
    }
}

function freeAddress(): string
{
    $socket = stream_socket_server('tcp://127.0.0.1:0');
    return (string) stream_socket_get_name($socket, false);
}

/** @param resource $server */
function awaitServer(string $address, $server, string $log): void
{
    for ($try = 0; $try < 600; $try++) {
        if (@stream_socket_client("tcp://$address", $code, $message, 1)) {
            return;
        }
        if (!proc_get_status($server)['running']) {
            break;
        }
        usleep(50_000);
    }
    throw new Exception('the server does not start: ' . file_get_contents($log));
}

/** @return list<string> */
function preloading(string $file): array
{
    $settings = ['opcache.enable=1', "opcache.preload=$file", 'ffi.enable=preload'];
    if (posix_geteuid() === 0) {
        $settings[] = 'opcache.preload_user=root';
    }
    return $settings;
}

/**
 * What a worker answers. The process that forked the workers answers requests too, so several are
 * sent at once, each of which takes a while, until a worker has got one.
 */
function answerOfWorker(string $address, int $parent): string
{
    for ($round = 0; $round < 50; $round++) {
        $sockets = [];
        for ($i = 0; $i < 3; $i++) {
            $socket = stream_socket_client("tcp://$address");
            fwrite($socket, "GET / HTTP/1.0\r\n\r\n");
            $sockets[] = $socket;
        }
        foreach ($sockets as $socket) {
            [, $body] = explode("\r\n\r\n", (string) stream_get_contents($socket), 2);
            [$process, $answer] = explode(' ', $body, 2);
            if ((int) $process !== $parent) {
                return $answer;
            }
        }
    }
    throw new Exception('no worker answered');
}

const ANSWER = 'usleep(50000); echo getmypid(), " "; try { ' . HELLO . ' }'
    . 'catch (Throwable $e) { echo get_class($e), ": ", $e->getMessage(); }';

test('workers of a server use the preloaded package', static function (): void {
    $settings = preloading(dirname(__DIR__) . '/preload.php');
    serve(ANSWER, $settings, static function (string $address, int $parent): void {
        for ($i = 0; $i < 3; $i++) {
            same(answerOfWorker($address, $parent), 'hello');
        }
    });
});

test('a server without preloading is told what to set', static function (): void {
    $page = 'require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ';' . ANSWER;
    serve($page, ['ffi.enable=preload'], static function (string $address, int $parent): void {
        $answer = answerOfWorker($address, $parent);
        contains($answer, 'Mullama\Exception\LibraryMissing');
        contains($answer, 'preload.php');
    });
});
