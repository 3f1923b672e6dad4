<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The process was forked after the library was loaded. */
final class Forked extends MullamaException
{
}
