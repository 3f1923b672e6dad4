<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** An argument, option or request is not valid. */
final class Invalid extends MullamaException
{
}
