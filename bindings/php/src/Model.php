<?php

declare(strict_types=1);

namespace Mullama;

use FFI;
use FFI\CData;

/**
 * A loaded model. Answers that are begun before the first of them is read are computed together.
 *
 * It is closed by close(), or when neither the program nor a stream refers to it any more.
 */
final class Model
{
    /**
     * @internal Runtime::load() makes models.
     */
    public function __construct(
        private readonly Library $library,
        private readonly CData $handle,
    ) {
    }

    /**
     * What the model's file says of it, and what it is doing.
     *
     * @return array<string, mixed>
     */
    public function info(): array
    {
        return $this->library->json('mullama_model_info', $this->handle);
    }

    /**
     * Makes tokens of a text.
     *
     * @param bool $addSpecial   add what the model wants around a text, such as BOS
     * @param bool $parseSpecial texts of control tokens become those; not for texts of users
     * @return list<int>
     */
    public function tokenize(
        string $text,
        bool $addSpecial = false,
        bool $parseSpecial = false,
    ): array {
        $ffi = $this->library->ffi;
        $flags = $addSpecial ? $ffi->MULLAMA_ADD_SPECIAL : 0;
        $flags |= $parseSpecial ? $ffi->MULLAMA_PARSE_SPECIAL : 0;
        try {
            return $this->read($text, $flags, strlen($text) + 8);
        } catch (Exception\TooSmall) {
            return $this->read($text, $flags, $this->library->count->cdata);
        }
    }

    /**
     * Makes the text of tokens. It is not UTF-8 when it begins or ends within a character.
     *
     * @param array<int> $tokens
     */
    public function detokenize(array $tokens): string
    {
        $in = $this->array($tokens);
        try {
            return $this->write($in, count($tokens), 16 * count($tokens) + 16);
        } catch (Exception\TooSmall) {
            return $this->write($in, count($tokens), $this->library->count->cdata);
        }
    }

    /**
     * The prompt that chat() makes of the same arguments.
     *
     * @param array<array-key, mixed>|object $messages a list of messages, or a whole request
     */
    public function render(array|object $messages, mixed ...$fields): string
    {
        $request = self::request('messages', $messages, $fields);
        return $this->library->json('mullama_model_render', $this->handle, $request)['prompt'];
    }

    /**
     * Begins to answer a conversation.
     *
     *     $model->chat([['role' => 'user', 'content' => 'Hi']], options: ['temperature' => 0]);
     *
     * JSON tells {} from [], and an empty array is []: write (object) [] for an empty object.
     *
     * @param array<array-key, mixed>|object $messages a list of messages, or a whole request
     * @param mixed ...$fields of the request, by name: all that POST /api/chat takes
     */
    public function chat(array|object $messages, mixed ...$fields): Stream
    {
        return $this->begin('mullama_model_chat', self::request('messages', $messages, $fields));
    }

    /**
     * Begins to continue a text.
     *
     * @param array<array-key, mixed>|object|string $prompt a text, or a whole request
     * @param mixed ...$fields of the request, by name: all that POST /api/generate takes
     */
    public function generate(array|object|string $prompt, mixed ...$fields): Stream
    {
        return $this->begin('mullama_model_generate', self::request('prompt', $prompt, $fields));
    }

    /**
     * Embeds texts, and waits for all of them. What is wrong with one text its embedding tells; with
     * a daemon it may be thrown.
     *
     *     $model->embed('Why is the sky blue?', task: 'query')[0]->vector();
     *
     * @param array<array-key, mixed>|object|string $texts a text, a list, or a whole request
     * @param mixed ...$fields of the request, by name: all that POST /api/embed takes
     * @return list<Embedding> in the order of the texts
     */
    public function embed(array|object|string $texts, mixed ...$fields): array
    {
        $request = self::request('input', $texts, $fields);
        return Embeddings::of($this->library, $this->handle, $request);
    }

    /**
     * Says how well documents answer a query, by a model that ranks or chats.
     *
     * @param array<mixed> $documents their texts
     * @param mixed ...$fields of the request, by name: all that POST /v1/rerank takes
     */
    public function rerank(string $query, array $documents, mixed ...$fields): Ranking
    {
        return $this->rank('mullama_model_rerank', $query, $documents, $fields);
    }

    /**
     * Says how well documents answer a query by late interaction; see rerank().
     *
     * @param array<mixed> $documents their texts
     * @param mixed ...$fields of the request, by name: all that POST /v1/score takes
     */
    public function score(string $query, array $documents, mixed ...$fields): Ranking
    {
        return $this->rank('mullama_model_score', $query, $documents, $fields);
    }

    /** @internal the handle for other functions of the library, which stays this model's */
    public function handle(): CData
    {
        return $this->handle;
    }

    /** Closes the model: its streams end. Closing it again does nothing. */
    public function close(): void
    {
        $this->library->ffi->mullama_model_close($this->handle);
    }

    public function __destruct()
    {
        $this->close();
    }

    private function __clone()
    {
    }

    /**
     * @param array<mixed> $documents
     * @param array<array-key, mixed> $fields
     */
    private function rank(
        string $function,
        string $query,
        array $documents,
        array $fields,
    ): Ranking {
        $whole = ['query' => $query, 'documents' => array_values($documents)];
        $request = self::request('query', $whole, $fields);
        return new Ranking($this->library->json($function, $this->handle, $request));
    }

    private function begin(string $function, string $request): Stream
    {
        $handle = $this->library->ffi->new('mullama_stream *');
        $this->library->call($function, $this->handle, $request, FFI::addr($handle));
        return new Stream($this->library, $this, $handle);
    }

    /**
     * A text or a list is the field; all else is a whole request.
     *
     * @param array<array-key, mixed>|object|string $input
     * @param array<array-key, mixed> $fields
     */
    private static function request(
        string $field,
        array|object|string $input,
        array $fields,
    ): string {
        if (isset($fields[0])) {
            throw MullamaException::of('invalid', 'fields of a request are given by their names');
        }
        if (is_object($input)) {
            return Json::encode($fields + get_object_vars($input));
        }
        $whole = is_array($input) && !array_is_list($input);
        return Json::encode($fields + ($whole ? $input : [$field => $input]));
    }

    /** @return list<int> */
    private function read(string $text, int $flags, int $capacity): array
    {
        $tokens = $this->library->tokens($capacity);
        $this->library->call(
            'mullama_model_tokenize',
            $this->handle,
            $text,
            strlen($text),
            $flags,
            $tokens,
            $capacity,
            $this->library->countAddress,
        );
        return self::integers($tokens, $this->library->count->cdata);
    }

    private function write(?CData $tokens, int $count, int $capacity): string
    {
        $text = $this->library->ffi->new("char[$capacity]");
        $this->library->call(
            'mullama_model_detokenize',
            $this->handle,
            $tokens,
            $count,
            $text,
            $capacity,
            $this->library->countAddress,
        );
        return FFI::string($text, $this->library->count->cdata);
    }

    /** @param array<int> $tokens */
    private function array(array $tokens): ?CData
    {
        if ($tokens === []) {
            return null;
        }
        $array = $this->library->ffi->new('int32_t[' . count($tokens) . ']');
        $i = 0;
        foreach ($tokens as $token) {
            if (!is_int($token) || $token < -0x80000000 || $token > 0x7FFFFFFF) {
                throw MullamaException::of('invalid', "element $i of the tokens is no token");
            }
            $array[$i++] = $token;
        }
        return $array;
    }

    /** @return list<int> */
    private static function integers(CData $array, int $count): array
    {
        return $count === 0 ? [] : array_values(unpack('l*', FFI::string($array, 4 * $count)));
    }
}
