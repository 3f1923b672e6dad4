<?php

declare(strict_types=1);

namespace Mullama;

/** A document that a search of an index found. */
final class Found
{
    /**
     * @internal Index::search() makes them.
     *
     * @param float $score more is better
     */
    public function __construct(
        public readonly string $id,
        public readonly float $score,
    ) {
    }
}
