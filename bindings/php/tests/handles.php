<?php

declare(strict_types=1);

/*
 * Closed handles, and what keeps what open.
 */

use Mullama\Library;
use Mullama\Runtime;

test('closing twice does nothing', static function (): void {
    $runtime = new Runtime(echo: true);
    $model = $runtime->load('echo');
    $stream = $model->generate('abc');
    foreach ([$stream, $model, $runtime] as $handle) {
        $handle->close();
        $handle->close();
    }
    fails('closed', 'runtime', static fn () => $runtime->info());
});

test('a closed runtime says so', static function (): void {
    $runtime = new Runtime(echo: true);
    $runtime->close();
    fails('closed', 'runtime is closed', static fn () => $runtime->info());
    fails('closed', 'runtime is closed', static fn () => $runtime->models());
    fails('closed', 'runtime is closed', static fn () => $runtime->load('echo'));
});

test('a closed model says so', static function (): void {
    $model = (new Runtime(echo: true))->load('echo');
    $model->close();
    fails('closed', 'model is closed', static fn () => $model->info());
    fails('closed', 'model is closed', static fn () => $model->tokenize('a'));
    fails('closed', 'model is closed', static fn () => $model->detokenize([97]));
    fails('closed', 'model is closed', static fn () => $model->render(user('a')));
    fails('closed', 'model is closed', static fn () => $model->chat(user('a')));
    fails('closed', 'model is closed', static fn () => $model->generate('a'));
});

test('a closed stream says so', static function (): void {
    $stream = echoModel()->generate('abc');
    $stream->close();
    fails('closed', 'stream is closed', static fn () => $stream->next());
    fails('closed', 'stream is closed', static fn () => $stream->cancel());
    fails('closed', 'stream is closed', static fn () => $stream->text());
    fails('closed', 'stream is closed', static fn () => iterator_to_array($stream));
});

test('a model outlives its runtime', static function (): void {
    $runtime = new Runtime(echo: true);
    $model = $runtime->load('echo');
    $runtime->close();
    unset($runtime);
    same($model->generate('abc')->text(), 'abc');
});

test('a stream keeps its model', static function (): void {
    $stream = (new Runtime(echo: true))->load('echo')->generate('abc');
    gc_collect_cycles();
    same($stream->text(), 'abc');
});

test('handles are not copied', static function (): void {
    $runtime = new Runtime(echo: true);
    $model = $runtime->load('echo');
    foreach ([$runtime, $model, $model->generate('a')] as $handle) {
        foreach ([static fn () => clone $handle, static fn () => serialize($handle)] as $copy) {
            try {
                $copy();
            } catch (Error | Exception) {
                continue;
            }
            throw new Exception(get_class($handle) . ' was copied');
        }
    }
});

test('handles can be dumped', static function (): void {
    $model = echoModel();
    $stream = $model->generate("a\0b");
    $stream->next();
    ob_start();
    var_dump($model, $stream);
    print_r($stream);
    $dump = (string) ob_get_clean();
    contains($dump, 'Mullama\Stream');
    same($stream->text(), "\0b");
});

test('every status has a class, and is passed on with it', static function (): void {
    $header = (string) file_get_contents(dirname(__DIR__) . '/src/mullama.ffi.h');
    preg_match_all('/MULLAMA_ERR_(\w+) = (\d+)/', $header, $found, PREG_SET_ORDER);
    same(count($found), 17, 'statuses');
    foreach ($found as [, $name, $number]) {
        $status = Library::load()->ffi->mullama_status_name((int) $number);
        same($status, strtolower($name));
        $raise = static fn () => throw Mullama\MullamaException::of($status, 'why');
        fails($status, 'why', $raise);
    }
    $unknown = Mullama\MullamaException::of('unknown', 'why');
    same($unknown::class, Mullama\MullamaException::class);
});

test('the declarations are those of the header', static function (): void {
    $file = dirname(__DIR__, 3) . '/include/mullama.h';
    if (!is_file($file)) {
        throw new Skip('include/mullama.h is not here');
    }
    $header = (string) file_get_contents($file);
    preg_match('/define MULLAMA_ABI_VERSION (\d+)/', $header, $version);
    same((int) ($version[1] ?? 0), Library::ABI_VERSION, 'ABI version');
    $names = static function (string $text): array {
        $text = preg_replace('~/\*.*?\*/~s', '', $text);
        $name = '/\b(?:mullama_\w+(?= *\()|MULLAMA_(?:ERR|OK|END|ADD|PARSE)\w*)/';
        preg_match_all($name, $text, $all);
        return $all[0];
    };
    $own = (string) file_get_contents(dirname(__DIR__) . '/src/mullama.ffi.h');
    same($names($own), $names($header), 'names');
});

test('the progress of a load is told', static function (): void {
    $runtime = new Mullama\Runtime(echo: true);
    $told = [];
    $tell = static function (float $fraction) use (&$told): void {
        $told[] = $fraction;
    };
    $runtime->load('echo', $tell, ctx_size: 64)->close();
    $runtime->load('echo', progress: $tell)->close();
    same($told, [1.0, 1.0]);
});

test('a load whose progress returns false is given up', static function (): void {
    $runtime = new Mullama\Runtime(echo: true);
    fails('cancelled', 'echo', static fn () => $runtime->load('echo', static fn () => false));
    $runtime->load('echo', static fn () => null)->close();
});

test('what progress throws comes out of the load', static function (): void {
    $runtime = new Mullama\Runtime(echo: true);
    $thrown = new DomainException('enough');
    try {
        $runtime->load('echo', static fn () => throw $thrown);
    } catch (DomainException $e) {
        same($e === $thrown, true);
        same($runtime->load('echo', static fn () => true)->tokenize('a'), [97]);
        return;
    }
    throw new Exception('nothing was thrown');
});

test('progress may load another model', static function (): void {
    $runtime = new Mullama\Runtime(echo: true);
    $told = [];
    $runtime->load('echo', static function (float $outer) use ($runtime, &$told): void {
        $runtime->load('echo', static function (float $inner) use (&$told): void {
            $told[] = "inner $inner";
        });
        fails('cancelled', '', static fn () => $runtime->load('echo', static fn () => false));
        $told[] = "outer $outer";
    });
    same($told, ['inner 1', 'outer 1']);
});
