<?php

declare(strict_types=1);

namespace Mullama;

/** A whole answer. */
final class Answer implements \Stringable
{
    /** Why the answer ended: "stop", "length" or "cancelled". */
    public readonly string $doneReason;

    /** Tokens of the prompt. */
    public readonly int $promptEvalCount;

    /** Tokens of the answer. */
    public readonly int $evalCount;

    /** Tokens of the prompt that did not have to be computed again. */
    public readonly int $cachedTokens;

    /**
     * @internal Stream::collect() makes answers.
     *
     * @param array<string, mixed>       $json     of the last part, as the daemon writes it
     * @param list<array<string, mixed>> $logprobs of all parts, if the request asked for them
     */
    public function __construct(
        public readonly string $text,
        public readonly string $thinking,
        public readonly array $json,
        public readonly array $logprobs,
    ) {
        $this->doneReason = $json['done_reason'] ?? '';
        $this->promptEvalCount = $json['prompt_eval_count'] ?? 0;
        $this->evalCount = $json['eval_count'] ?? 0;
        $this->cachedTokens = $json['cached_tokens'] ?? 0;
    }

    /** The text. */
    public function __toString(): string
    {
        return $this->text;
    }
}
