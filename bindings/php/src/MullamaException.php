<?php

declare(strict_types=1);

namespace Mullama;

/**
 * What a call ended with. Each status has a subclass in Mullama\Exception, so a program catches
 * Exception\ContextFull, or this class for all of them. The message says what was wrong and what
 * to do.
 */
class MullamaException extends \RuntimeException
{
    /**
     * @param string $status the name of the status, such as "context_full"
     */
    final public function __construct(
        string $message,
        public readonly string $status,
        ?\Throwable $previous = null,
    ) {
        parent::__construct($message, 0, $previous);
    }

    /**
     * The exception of a status. A status of a newer library has no subclass and gives this class.
     *
     * @internal
     */
    public static function of(string $status, string $message, ?\Throwable $previous = null): self
    {
        $class = __NAMESPACE__ . '\\Exception\\' . str_replace('_', '', ucwords($status, '_'));
        if (is_subclass_of($class, self::class)) {
            return new $class($message, $status, $previous);
        }
        return new self($message, $status, $previous);
    }
}
