<?php

declare(strict_types=1);

namespace Mullama;

/**
 * JSON as the library reads and writes it.
 *
 * @internal
 */
final class Json
{
    private const FLAGS = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES
        | JSON_PRESERVE_ZERO_FRACTION;

    /**
     * Makes a JSON object of fields. Texts that are not UTF-8 and numbers that JSON does not have
     * are invalid.
     *
     * @param array<array-key, mixed> $fields
     */
    public static function encode(array $fields): string
    {
        try {
            return json_encode((object) $fields, self::FLAGS);
        } catch (\JsonException $e) {
            $message = 'the request cannot be written as JSON: ' . $e->getMessage();
            throw MullamaException::of('invalid', $message, $e);
        }
    }

    /**
     * Reads a JSON object. Its objects become arrays.
     *
     * @return array<string, mixed>
     */
    public static function decode(string $json): array
    {
        try {
            $fields = json_decode($json, true, flags: JSON_THROW_ON_ERROR);
        } catch (\JsonException $e) {
            $message = 'the library gave JSON that cannot be read: ' . $e->getMessage();
            throw MullamaException::of('internal', $message, $e);
        }
        return is_array($fields) ? $fields : [];
    }
}
