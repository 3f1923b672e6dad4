<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The call was cancelled. */
final class Cancelled extends MullamaException
{
}
