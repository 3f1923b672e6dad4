<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The prompt does not fit in the context. */
final class ContextFull extends MullamaException
{
}
