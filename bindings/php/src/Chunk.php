<?php

declare(strict_types=1);

namespace Mullama;

/** A part of an answer. It stays valid after its stream is closed. */
final class Chunk implements \Stringable
{
    /**
     * @internal Stream makes chunks.
     *
     * @param string    $text     whole characters of UTF-8; may be empty
     * @param string    $thinking what the model thinks before it answers, if it does
     * @param list<int> $tokens   that text and thinking are of
     * @param bool      $done     whether this is the last part
     * @param array<string, mixed> $json of the last part: done_reason, counts and times; else
     *                                   empty, or with the field logprobs
     */
    public function __construct(
        public readonly string $text,
        public readonly string $thinking,
        public readonly array $tokens,
        public readonly bool $done,
        public readonly array $json,
    ) {
    }

    /**
     * How likely the part's tokens were, if the request asked for that.
     *
     * @return list<array<string, mixed>>
     */
    public function logprobs(): array
    {
        return $this->json['logprobs'] ?? [];
    }

    /** The text. */
    public function __toString(): string
    {
        return $this->text;
    }
}
