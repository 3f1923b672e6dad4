<?php

declare(strict_types=1);

namespace Mullama;

use FFI\CData;

/**
 * A file of documents that are found by late interaction. Runtime::openIndex() opens it.
 *
 * It is closed by close(), or when nothing refers to it any more.
 */
final class Index
{
    /**
     * @internal Runtime::openIndex() makes indexes.
     *
     * @param ?Model $model embeds texts; it is not closed before the index
     */
    public function __construct(
        private readonly Library $library,
        private readonly CData $handle,
        private readonly ?Model $model,
    ) {
    }

    /**
     * What is in the index: model, dimensions, vectors, documents, tokens, bytes, groups.
     *
     * @return array<string, mixed>
     */
    public function info(): array
    {
        return $this->library->json('mullama_index_info', $this->handle);
    }

    /**
     * Adds documents, all or none. They are in the file when this returns.
     *
     *     $index->add([['id' => 'a', 'text' => 'Paris is the capital of France.']]);
     *
     * @param array<array<string, mixed>|object> $documents each has an id that no other has, and a
     *     text for the model of the index to embed, or the vectors of its tokens
     */
    public function add(array $documents): void
    {
        $request = Json::encode(['documents' => array_values($documents)]);
        $this->library->call('mullama_index_add', $this->handle, $request);
    }

    /**
     * Groups similar tokens of all documents, for searches with probe.
     *
     * @param int $groups how many there are to be; 0: as many as suit the index
     */
    public function train(int $groups = 0): void
    {
        $options = Json::encode(['groups' => $groups]);
        $this->library->call('mullama_index_train', $this->handle, $options);
    }

    /**
     * Finds the documents that score best.
     *
     *     $index->search('capital of France', top_n: 3);
     *
     * @param ?string $query a text for the model of the index to embed
     * @param mixed ...$fields of the request, by name: vectors of the tokens of a query in place of
     *                         the text, top_n, and after train() probe and candidates
     * @return list<Found> the best first
     */
    public function search(?string $query = null, mixed ...$fields): array
    {
        $request = Json::encode($query === null ? $fields : ['query' => $query] + $fields);
        $answer = $this->library->json('mullama_index_search', $this->handle, $request);
        return array_map(
            static fn (array $each): Found => new Found($each['id'], (float) $each['score']),
            $answer['results'],
        );
    }

    /** Reads the whole file. Throws Exception\Store if it is damaged. */
    public function verify(): void
    {
        $this->library->call('mullama_index_verify', $this->handle);
    }

    /** Closes the index. What was added stays in the file. Closing it again does nothing. */
    public function close(): void
    {
        $this->library->ffi->mullama_index_close($this->handle);
    }

    public function __destruct()
    {
        $this->close();
    }

    private function __clone()
    {
    }
}
