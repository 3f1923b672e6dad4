<?php

declare(strict_types=1);

namespace Mullama;

use FFI;
use FFI\CData;

/**
 * An answer while it is generated, read by foreach, next(), collect() or text().
 *
 * foreach closes the stream when it ends, also by break or an exception. Otherwise it is closed by
 * close(), or when nothing refers to it any more. It keeps its model open until then.
 *
 * @implements \IteratorAggregate<int, Chunk>
 */
final class Stream implements \IteratorAggregate
{
    private readonly CData $chunk;
    private readonly CData $chunkAddress;

    /** @var array<string, CData> pointers to the pointers in the chunk; see string() */
    private readonly array $pointers;

    /**
     * @internal Model::chat() and Model::generate() make streams.
     */
    public function __construct(
        private readonly Library $library,
        private readonly Model $model, // not used, but kept from being closed
        private readonly CData $handle,
    ) {
        $this->chunk = $library->ffi->new('mullama_chunk');
        $this->chunkAddress = FFI::addr($this->chunk);
        $pointers = [];
        foreach (['text', 'thinking', 'tokens', 'json'] as $field) {
            $address = FFI::addr($this->chunk->{$field});
            $pointers[$field] = $library->ffi->cast($library->textPointer, $address);
        }
        $this->pointers = $pointers;
    }

    /**
     * The parts that are not read yet. Leaving the loop early ends the answer.
     *
     * @return \Generator<int, Chunk>
     */
    public function getIterator(): \Generator
    {
        try {
            while (($chunk = $this->next()) !== null) {
                yield $chunk;
            }
        } finally {
            $this->close();
        }
    }

    /** Waits for the next part. Gives null after the last one. */
    public function next(): ?Chunk
    {
        $this->chunk->struct_size = FFI::sizeof($this->chunk);
        if (!$this->library->call('mullama_stream_next', $this->handle, $this->chunkAddress)) {
            return null;
        }
        try {
            return $this->read();
        } finally {
            // The chunk's pointers end with the next call. None is left for a debugger to follow.
            FFI::memset($this->chunk, 0, FFI::sizeof($this->chunk));
        }
    }

    /** Reads the parts that are not read yet, and closes the stream. */
    public function collect(): Answer
    {
        $text = '';
        $thinking = '';
        $last = [];
        $logprobs = [];
        foreach ($this as $chunk) {
            $text .= $chunk->text;
            $thinking .= $chunk->thinking;
            $last = $chunk->json;
            array_push($logprobs, ...$chunk->logprobs());
        }
        return new Answer($text, $thinking, $last, $logprobs);
    }

    /** The text of all parts that are not read yet. Closes the stream. */
    public function text(): string
    {
        return $this->collect()->text;
    }

    /** Ends the answer. Its last part, which is still to be read, has done_reason "cancelled". */
    public function cancel(): void
    {
        $this->library->call('mullama_stream_cancel', $this->handle);
    }

    /** Ends the answer if it has not ended. Closing it again does nothing. */
    public function close(): void
    {
        $this->library->ffi->mullama_stream_close($this->handle);
    }

    public function __destruct()
    {
        $this->close();
    }

    private function __clone()
    {
    }

    private function read(): Chunk
    {
        $chunk = $this->chunk;
        $json = $this->string('json', $chunk->json_size);
        $tokens = $this->string('tokens', 4 * $chunk->token_count);
        return new Chunk(
            $this->string('text', $chunk->text_size),
            $this->string('thinking', $chunk->thinking_size),
            $tokens === '' ? [] : array_values(unpack('l*', $tokens)),
            $chunk->done,
            $json === '' ? [] : Json::decode($json),
        );
    }

    /**
     * Copies what a pointer of the chunk is to. Reading the field itself would give a text that
     * ends at its first zero byte.
     */
    private function string(string $field, int $size): string
    {
        $pointer = $this->pointers[$field];
        return $size === 0 ? '' : FFI::string($pointer[0], $size);
    }
}
