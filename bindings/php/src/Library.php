<?php

declare(strict_types=1);

namespace Mullama;

use FFI;
use FFI\CData;
use FFI\CType;

/**
 * The loaded libmullama. It is loaded when the first runtime is opened and not before, because a
 * process that forks afterwards cannot use it in the child.
 *
 * @internal
 */
final class Library
{
    /** MULLAMA_ABI_VERSION of the header that mullama.ffi.h was made of. */
    public const ABI_VERSION = 1;

    /** @var array<string, self> by path */
    private static array $loaded = [];

    /** Receives the error of a call; one is enough, since it is empty between calls. */
    private readonly CData $error;
    private readonly CData $errorAddress;
    private readonly int $end;

    /** How many tokens the array has that short texts share. */
    private const FEW = 1024;
    private readonly CData $few;

    /** Receives the number of results of a call, and is read before the next one. */
    public readonly CData $count;
    public readonly CData $countAddress;

    /**
     * The type char **. A cast to it by name would make a type for each cast, and PHP 8.2 does not
     * free such a type when its pointer was followed.
     */
    public readonly CType $textPointer;

    private ?Progress $progress = null;

    private function __construct(public readonly FFI $ffi)
    {
        $this->error = $ffi->new('mullama_error *');
        $this->errorAddress = FFI::addr($this->error);
        $this->end = $ffi->MULLAMA_END;
        $this->few = $ffi->new('int32_t[' . self::FEW . ']');
        $this->count = $ffi->new('size_t');
        $this->countAddress = FFI::addr($this->count);
        $this->textPointer = $ffi->type('char **');
    }

    /**
     * The library of a file or folder; without one that of MULLAMA_LIBRARY, then the one in the
     * folder lib of this package, then the one that the system's loader finds.
     */
    public static function load(?string $path = null): self
    {
        $path = self::find($path);
        return self::$loaded[$path] ??= new self(self::bind($path));
    }

    /**
     * Calls a function whose last parameter receives an error, which is not among the arguments.
     *
     * @return bool whether the call succeeded; false if a stream is over
     */
    public function call(string $function, mixed ...$arguments): bool
    {
        $arguments[] = $this->errorAddress;
        $status = $this->ffi->{$function}(...$arguments);
        if ($status > $this->end) {
            throw $this->exception($status);
        }
        return $status !== $this->end;
    }

    /** An array for so many tokens, which the next call may use again. */
    public function tokens(int $capacity): CData
    {
        return $capacity <= self::FEW ? $this->few : $this->ffi->new("int32_t[$capacity]");
    }

    /**
     * Calls a function that gives a JSON text just before its error, and reads the text.
     *
     * @return array<string, mixed>
     */
    public function json(string $function, mixed ...$arguments): array
    {
        $text = $this->ffi->new('char *');
        $arguments[] = FFI::addr($text);
        $this->call($function, ...$arguments);
        try {
            return Json::decode(FFI::string($text));
        } finally {
            $this->ffi->mullama_string_free($text);
        }
    }

    public function progress(): Progress
    {
        return $this->progress ??= new Progress($this->ffi);
    }

    private function exception(int $status): MullamaException
    {
        $name = $this->ffi->mullama_status_name($status);
        $message = $this->ffi->mullama_error_message($this->error);
        $this->ffi->mullama_error_free($this->error);
        $this->errorAddress[0] = null;
        return MullamaException::of($name, $message);
    }

    private static function find(?string $path): string
    {
        $file = self::fileName();
        $given = $path ?? (getenv('MULLAMA_LIBRARY') ?: null);
        if ($given === null) {
            $own = dirname(__DIR__) . '/lib/' . $file;
            return is_file($own) ? $own : $file;
        }
        $full = realpath(is_dir($given) ? $given . '/' . $file : $given);
        if ($full === false) {
            $from = $path === null ? 'MULLAMA_LIBRARY' : 'the argument library';
            throw MullamaException::of('library_missing', "$from names $given, where no $file is");
        }
        return $full;
    }

    private static function fileName(): string
    {
        return match (PHP_OS_FAMILY) {
            'Windows' => 'mullama.dll',
            'Darwin' => 'libmullama.dylib',
            default => 'libmullama.so',
        };
    }

    /**
     * Compares the version before it declares the rest, which a library of another version may
     * lack.
     */
    private static function bind(string $path): FFI
    {
        if (!extension_loaded('ffi')) {
            $message = 'PHP lacks the extension ffi: install it';
            throw MullamaException::of('library_missing', $message);
        }
        try {
            $library = FFI::cdef('uint32_t mullama_abi_version(void);', $path);
            $version = $library->mullama_abi_version();
            if ($version === self::ABI_VERSION) {
                return FFI::cdef((string) file_get_contents(__DIR__ . '/mullama.ffi.h'), $path);
            }
        } catch (FFI\Exception $e) {
            throw MullamaException::of('library_missing', self::advice($path, $e), $e);
        }
        $want = self::ABI_VERSION;
        $message = "$path has ABI version $version and this package needs $want: install the "
            . 'libmullama and the package of one release';
        throw MullamaException::of('library_missing', $message);
    }

    private static function advice(string $path, FFI\Exception $e): string
    {
        if (str_contains($e->getMessage(), 'ffi.enable')) {
            return $e->getMessage() . ': set ffi.enable=true, or ffi.enable=preload and '
                . 'opcache.preload to preload.php of this package';
        }
        $message = "cannot load $path: " . $e->getMessage();
        if (str_contains($path, '/')) {
            return $message;
        }
        return "$message; looked in the environment variable MULLAMA_LIBRARY (not set), in "
            . dirname(__DIR__) . "/lib and where the system's loader looks: set MULLAMA_LIBRARY to "
            . "the folder of $path";
    }
}
