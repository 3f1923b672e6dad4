<?php

declare(strict_types=1);

namespace Mullama;

use Closure;
use FFI;
use FFI\CData;
use Throwable;

/**
 * Has a PHP function told the progress of loads, by the library, which does so on the thread that
 * loads. What C can call is freed at the end of a request only, so there is one for all loads.
 *
 * @internal
 */
final class Progress
{
    private readonly CData $functions;

    /** The one of the load that runs, and what it threw. */
    private ?Closure $tell = null;
    private ?Throwable $thrown = null;

    public function __construct(FFI $ffi)
    {
        $this->functions = $ffi->new('mullama_progress[1]');
        $this->functions[0] = $this->told(...);
    }

    /**
     * Loads with a function to tell.
     *
     * @param Closure(CData): mixed $load is given what C can call
     */
    public function during(Closure $tell, Closure $load): void
    {
        $outer = [$this->tell, $this->thrown]; // a load may be in the function of another
        [$this->tell, $this->thrown] = [$tell, null];
        try {
            $load($this->functions[0]);
        } catch (Exception\Cancelled $e) {
            throw $this->thrown ?? $e;
        } finally {
            [$this->tell, $this->thrown] = $outer;
        }
    }

    /** An exception must not pass through C. */
    private function told(float $fraction, mixed $user): bool
    {
        try {
            return ($this->tell)($fraction) !== false;
        } catch (Throwable $e) {
            $this->thrown = $e;
            return false;
        }
    }
}
