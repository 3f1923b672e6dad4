<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** A buffer is too small. The methods of this package make it larger themselves. */
final class TooSmall extends MullamaException
{
}
