<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** There is no such file, or no such model in the store. */
final class NotFound extends MullamaException
{
}
