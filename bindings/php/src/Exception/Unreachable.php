<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** Another machine that the model is on does not answer, or went away. */
final class Unreachable extends MullamaException
{
}
