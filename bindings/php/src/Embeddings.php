<?php

declare(strict_types=1);

namespace Mullama;

use FFI;
use FFI\CData;

/**
 * Reads embeddings of the library.
 *
 * @internal
 */
final class Embeddings
{
    private readonly CData $made;
    private readonly CData $address;

    private function __construct(
        private readonly Library $library,
        private readonly CData $handle,
    ) {
        $this->made = $library->ffi->new('mullama_embedding');
        $this->address = FFI::addr($this->made);
    }

    /**
     * Has a model embed the texts of a request.
     *
     * @return list<Embedding>
     */
    public static function of(Library $library, CData $model, string $request): array
    {
        $handle = $library->ffi->new('mullama_embeddings *');
        $library->call('mullama_model_embed', $model, $request, FFI::addr($handle));
        try {
            return (new self($library, $handle))->list();
        } finally {
            $library->ffi->mullama_embeddings_free($handle);
        }
    }

    /** @return list<Embedding> */
    private function list(): array
    {
        $list = [];
        $count = $this->library->ffi->mullama_embeddings_count($this->handle);
        for ($i = 0; $i < $count; $i++) {
            $list[] = $this->read($i);
        }
        return $list;
    }

    private function read(int $index): Embedding
    {
        $made = $this->made;
        $made->struct_size = FFI::sizeof($made);
        try {
            $get = 'mullama_embeddings_get';
            $this->library->call($get, $this->handle, $index, $this->address);
        } catch (MullamaException $error) {
            return new Embedding([], 0, false, $error);
        }
        $count = $made->rows * $made->width;
        $values = array_values(unpack('f*', FFI::string($made->values, 4 * $count)));
        return new Embedding(array_chunk($values, $made->width), $made->tokens, $made->truncated);
    }
}
