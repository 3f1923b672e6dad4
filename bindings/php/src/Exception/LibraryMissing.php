<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** A native library is missing, cannot be loaded, or is of another version. */
final class LibraryMissing extends MullamaException
{
}
