<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The model does not fit in memory. */
final class OutOfMemory extends MullamaException
{
}
