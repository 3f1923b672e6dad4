<?php

declare(strict_types=1);

namespace Mullama;

/** How well a document answers a query. */
final class Score
{
    /**
     * @internal Model::rerank() and Model::score() make scores.
     *
     * @param int   $index the number of the document
     * @param float $score more is better
     */
    public function __construct(
        public readonly int $index,
        public readonly float $score,
    ) {
    }
}
