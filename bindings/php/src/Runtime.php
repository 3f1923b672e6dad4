<?php

declare(strict_types=1);

namespace Mullama;

use FFI;
use FFI\CData;

/**
 * The engine with the models that it has loaded.
 *
 * It is closed by close(), or when nothing refers to it any more. A process that forks opens it in
 * the child: see "Processes that fork" in README.md.
 */
final class Runtime
{
    private readonly Library $library;
    private readonly CData $handle;

    /**
     * @param ?string $libraryDir folder of the native engine; by default beside libmullama
     * @param ?string $modelsDir  folder of the model store
     * @param ?string $url        address of a daemon that is to do the work; then this process
     *                            loads no model
     * @param ?string $key        API key of that daemon
     * @param bool    $echo       no engine, and one model, "echo", that repeats what it is sent
     * @param ?string $library    file or folder of libmullama; see README.md for the default
     */
    public function __construct(
        ?string $libraryDir = null,
        ?string $modelsDir = null,
        ?string $url = null,
        #[\SensitiveParameter] ?string $key = null,
        bool $echo = false,
        ?string $library = null,
    ) {
        $options = array_filter([
            'library_dir' => $libraryDir,
            'models_dir' => $modelsDir,
            'url' => $url,
            'key' => $key,
            'echo' => $echo ?: null,
        ], static fn (mixed $value): bool => $value !== null);
        $this->library = Library::load($library);
        $this->handle = $this->library->ffi->new('mullama_runtime *');
        $address = FFI::addr($this->handle);
        $this->library->call('mullama_runtime_open', Json::encode($options), $address);
    }

    /** The version of the library, such as "0.1.0". */
    public function version(): string
    {
        return $this->library->ffi->mullama_version();
    }

    /**
     * What the runtime runs on: version, engine, devices.
     *
     * @return array<string, mixed>
     */
    public function info(): array
    {
        return $this->library->json('mullama_runtime_info', $this->handle);
    }

    /**
     * The models of the store, or of the daemon.
     *
     * @return list<array<string, mixed>> as GET /api/tags tells them
     */
    public function models(): array
    {
        return $this->library->json('mullama_runtime_models', $this->handle)['models'] ?? [];
    }

    /**
     * Loads a model: a GGUF file by its path, which begins with / or ., or a model of the store or
     * the daemon by its name. Blocks until it is loaded.
     *
     *     $runtime->load('./smollm2.gguf', ctx_size: 2048, slots: 8);
     *
     * @param ?callable(float): mixed $progress is told the loaded part, from 0 to 1. The load is
     *                                          given up if it returns false or throws. It must not
     *                                          end the program
     * @param mixed ...$options of the load, by name; docs/abi.md has all
     */
    public function load(string $name, ?callable $progress = null, mixed ...$options): Model
    {
        if (str_contains($name, "\0")) {
            throw MullamaException::of('invalid', 'the name of a model has no zero byte');
        }
        $handle = $this->library->ffi->new('mullama_model *');
        $load = fn (?CData $function): bool => $this->library->call(
            'mullama_model_load',
            $this->handle,
            $name,
            Json::encode($options),
            $function,
            null,
            FFI::addr($handle),
        );
        if ($progress === null) {
            $load(null);
        } else {
            $this->library->progress()->during($progress(...), $load);
        }
        return new Model($this->library, $handle);
    }

    /**
     * Opens an index of documents, or makes an empty one if there is no file. The file is on this
     * machine, also where a daemon computes.
     *
     *     $runtime->openIndex('docs.index', $model, vectors: 'int8');
     *
     * @param ?Model $model embeds what is added and searched as text; null: vectors alone
     * @param mixed ...$options by name: dimensions, which a new index without a model needs;
     *                          vectors: f32, f16 or int8; in_memory; threads; device, which searches
     */
    public function openIndex(string $path, ?Model $model = null, mixed ...$options): Index
    {
        if (str_contains($path, "\0")) {
            throw MullamaException::of('invalid', 'the path of an index has no zero byte');
        }
        $handle = $this->library->ffi->new('mullama_index *');
        $this->library->call(
            'mullama_index_open',
            $this->handle,
            $path,
            $model?->handle(),
            Json::encode($options),
            FFI::addr($handle),
        );
        return new Index($this->library, $handle, $model);
    }

    /** Closes the runtime. Its models stay usable. Closing it again does nothing. */
    public function close(): void
    {
        $this->library->ffi->mullama_runtime_close($this->handle);
    }

    public function __destruct()
    {
        $this->close();
    }

    private function __clone()
    {
    }
}
