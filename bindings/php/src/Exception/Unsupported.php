<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** This engine, this model, or PHP cannot do that. */
final class Unsupported extends MullamaException
{
}
