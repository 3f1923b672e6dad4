<?php

declare(strict_types=1);

namespace Mullama;

/** The scores of documents. */
final class Ranking
{
    /** @var list<Score> of the documents that were asked for, the best first */
    public readonly array $results;

    /** How they were ranked: "head", "judge" or "tokens". */
    public readonly string $method;

    /** How many tokens were computed. */
    public readonly int $tokens;

    /**
     * @internal Model::rerank() and Model::score() make rankings.
     *
     * @param array<string, mixed> $json the whole answer, as the daemon writes it
     */
    public function __construct(public readonly array $json)
    {
        $this->results = array_map(
            static fn (array $each): Score
                => new Score($each['index'], (float) $each['relevance_score']),
            $json['results'],
        );
        $this->method = $json['method'];
        $this->tokens = $json['usage']['prompt_tokens'];
    }
}
