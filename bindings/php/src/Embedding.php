<?php

declare(strict_types=1);

namespace Mullama;

/** The embedding of a text, or what is wrong with that text. */
final class Embedding
{
    /**
     * @internal Model::embed() makes embeddings.
     *
     * @param list<list<float>> $rows one, or without pooling one for each token; [] after an error
     * @param int  $tokens    of the text that were embedded
     * @param bool $truncated whether the text was too long, and its end was left out
     * @param ?MullamaException $error what is wrong with the text
     */
    public function __construct(
        public readonly array $rows,
        public readonly int $tokens,
        public readonly bool $truncated,
        public readonly ?MullamaException $error = null,
    ) {
    }

    /**
     * The row of a text that was pooled. Throws the error of the text, if there is one.
     *
     * @return list<float>
     */
    public function vector(): array
    {
        return $this->error === null ? $this->rows[0] : throw $this->error;
    }
}
