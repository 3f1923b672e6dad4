<?php

declare(strict_types=1);

/*
 * Finding and loading the library, settings of PHP, forks, and how programs end.
 */

use Mullama\Runtime;

const HELLO = 'echo (new Runtime(echo: true))->load("echo")->generate("hello")->text();';

/** A program that prints the status of the exception that its code ends with. */
const CAUGHT = 'set_error_handler(null); set_exception_handler(function ($e) {'
    . 'echo $e instanceof Mullama\MullamaException ? $e->status : get_class($e), ": ",'
    . '$e->getMessage(); });';

test('a missing library is named', static function (): void {
    $missing = temporary('.so');
    fails('library_missing', $missing, static fn () => new Runtime(library: $missing));
    [, $output] = php(CAUGHT . HELLO, environment: ['MULLAMA_LIBRARY' => $missing]);
    contains($output, 'library_missing: MULLAMA_LIBRARY names ' . $missing);
});

test('an engine that is missing is named', static function (): void {
    $open = static fn () => new Runtime(libraryDir: '/nowhere');
    fails('library_missing', '/nowhere', $open);
});

test('an empty folder has no library', static function (): void {
    $folder = temporary('');
    mkdir($folder);
    fails('library_missing', 'libmullama', static fn () => new Runtime(library: $folder));
});

test('a library that is found nowhere says where it was looked for', static function (): void {
    if (is_dir(dirname(__DIR__) . '/lib')) {
        throw new Skip('the package has a library of its own');
    }
    [, $output] = php(CAUGHT . HELLO, environment: ['MULLAMA_LIBRARY' => '']);
    if ($output === 'hello') {
        throw new Skip('the system has a library');
    }
    contains($output, 'library_missing: cannot load libmullama');
    contains($output, 'set MULLAMA_LIBRARY to the folder');
    contains($output, dirname(__DIR__) . '/lib');
});

test('a file that is no library is refused', static function (): void {
    $file = temporary('.so');
    file_put_contents($file, 'no library');
    fails('library_missing', "cannot load $file", static fn () => new Runtime(library: $file));
});

/** Compiles a library, and gives its file. */
function stub(string $text): string
{
    $source = temporary('.c');
    $file = temporary('.so');
    file_put_contents($source, $text);
    $compile = 'exec cc -w -shared -fPIC -o "$1" "$2"';
    [$code, $output] = command(['sh', '-c', $compile, '', $file, $source]);
    if ($code !== 0) {
        throw new Skip('no C compiler: ' . strtok($output, "\n"));
    }
    return $file;
}

test('a library of another ABI version is refused', static function (): void {
    $file = stub('unsigned mullama_abi_version(void) { return 99; }');
    fails('library_missing', 'ABI version 99', static fn () => new Runtime(library: $file));
});

/** The functions of a library with 20 tokens for each byte. */
const MANY_TOKENS = <<<'END'
    int mullama_abi_version(void) { return 1; }
    int mullama_runtime_open(const char *options, long *runtime, void *error) {
        return *runtime = 1, 0;
    }
    int mullama_model_load(long runtime, const char *name, const char *options, void *progress,
                           void *user, long *model, void *error) {
        return *model = 2, 0;
    }
    const char *mullama_status_name(int status) { return "too_small"; }
    const char *mullama_error_message(void *error) { return ""; }
    int mullama_model_tokenize(long model, const char *text, long size, int flags, int *tokens,
                               long capacity, long *count, void *error) {
        *count = 20 * size;
        for (long i = 0; i < *count && i < capacity; i++) {
            tokens[i] = i;
        }
        return *count > capacity ? 17 : 0;
    }
    END;

test('more tokens than expected are read whole', static function (): void {
    $header = file_get_contents(dirname(__DIR__, 3) . '/include/mullama.h');
    preg_match_all('/\b(mullama_\w+)\(/', $header, $names);
    $rest = '';
    foreach (array_unique($names[1]) as $name) {
        $rest .= str_contains(MANY_TOKENS, "$name(") ? '' : "int $name(void) { return 0; }\n";
    }
    $code = 'echo json_encode((new Runtime())->load("any")->tokenize("abc"));';
    $library = stub(MANY_TOKENS . "\n" . $rest);
    same(
        php($code, environment: ['MULLAMA_LIBRARY' => $library])[1],
        json_encode(range(0, 59)),
    );
});

test('a library is taken by its file', static function (): void {
    $folder = getenv('MULLAMA_LIBRARY');
    $file = is_dir($folder) ? "$folder/libmullama.so" : $folder;
    $code = '$r = new Runtime(echo: true, library: ' . var_export($file, true) . ');'
        . 'echo $r->version() !== "" ? "ok" : "no";';
    same(php($code, environment: ['MULLAMA_LIBRARY' => '/nowhere'])[1], 'ok');
});

test('no class loads the library before the first runtime', static function (): void {
    $code = 'foreach (["Library", "Model", "Stream", "Chunk", "Answer"] as $name) {'
        . 'class_exists("Mullama\\\\$name"); }'
        . 'echo str_contains(file_get_contents("/proc/self/maps"), "libmullama") ? "yes" : "no";';
    if (!is_readable('/proc/self/maps')) {
        throw new Skip('no /proc');
    }
    same(php($code)[1], 'no');
});

test('ffi.enable=preload is enough on the command line', static function (): void {
    same(php(HELLO, ['ffi.enable=preload']), [0, 'hello']);
});

test('ffi.enable=true works', static function (): void {
    same(php(HELLO, ['ffi.enable=true']), [0, 'hello']);
});

test('ffi.enable=false says what to set', static function (): void {
    [, $output] = php(CAUGHT . HELLO, ['ffi.enable=false']);
    contains($output, 'library_missing: ');
    contains($output, 'set ffi.enable=true');
});

test('a child of a fork is told', static function (): void {
    needFork();
    $code = '$r = new Runtime(echo: true); $m = $r->load("echo"); $s = $m->generate("ab");'
        . 'if (($child = pcntl_fork()) === 0) { foreach (['
        . 'fn () => $s->next(), fn () => $m->tokenize("a"), fn () => $m->generate("a"),'
        . 'fn () => $r->info(), fn () => new Runtime(echo: true)] as $f) {'
        . 'try { $f(); } catch (Mullama\Exception\Forked $e) { echo $e->status, " "; } }'
        . '$s->close(); exit(7); }'
        . 'pcntl_waitpid($child, $status); echo pcntl_wexitstatus($status), " ", $s->text();';
    same(php($code), [0, 'forked forked forked forked forked 7 ab']);
});

test('a child that loads the library itself works', static function (): void {
    needFork();
    $code = 'for ($i = 0; $i < 2; $i++) { if (pcntl_fork() === 0) { ' . HELLO . ' exit(0); }'
        . 'pcntl_wait($status); echo pcntl_wexitstatus($status); }';
    same(php($code), [0, 'hello0hello0']);
});

test('a program that ends with open handles ends', static function (): void {
    $open = '$r = new Runtime(echo: true); $m = $r->load("echo"); $s = $m->generate("abc");'
        . 'foreach ($s as $c) { echo $c->text; ';
    same(php("$open exit(3); }"), [3, 'a']);
    [$code, $output] = php("$open throw new DomainException('half way'); }");
    same($code, 255);
    contains($output, 'half way');
});

test('a program that ends in a cycle of open handles ends', static function (): void {
    $code = '$n = new stdClass; $n->n = $n; $n->s = (new Runtime(echo: true))->load("echo")'
        . '->generate("abc"); $n->g = $n->s->getIterator(); $n->g->current(); echo "ok";';
    same(php($code), [0, 'ok']);
});

test('Composer installs the package from its folder', static function (): void {
    $folder = temporary('');
    mkdir($folder);
    file_put_contents("$folder/composer.json", json_encode([
        'repositories' => [
            ['type' => 'path', 'url' => dirname(__DIR__), 'options' => ['symlink' => false]],
            ['packagist' => false],
        ],
        'require' => ['mullama/mullama' => '*'],
        'minimum-stability' => 'dev',
    ]));
    $environment = ['COMPOSER_HOME' => "$folder/home", 'COMPOSER_ALLOW_SUPERUSER' => '1'];
    $install = 'command -v composer >/dev/null || exit 127; '
        . 'composer validate --no-check-all "$1" && composer install --no-interaction';
    $file = dirname(__DIR__) . '/composer.json';
    [$code, $output] = command(['sh', '-c', $install, '', $file], $environment, $folder);
    if ($code === 127) {
        throw new Skip('Composer is not installed');
    }
    same($code, 0, $output);
    $program = "$folder/program.php";
    file_put_contents($program, '<?php require "vendor/autoload.php"; use Mullama\Runtime;'
        . 'try { new Runtime(url: "x"); } catch (Mullama\Exception\Invalid) {} ' . HELLO);
    same(command([PHP_BINARY, $program], [], $folder), [0, 'hello']);
});

function needFork(): void
{
    if (!extension_loaded('pcntl')) {
        throw new Skip('the extension pcntl is not there');
    }
}
