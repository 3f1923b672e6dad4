<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** A fault that is not the caller's. */
final class Internal extends MullamaException
{
}
