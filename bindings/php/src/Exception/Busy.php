<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** Too many requests wait already. */
final class Busy extends MullamaException
{
}
