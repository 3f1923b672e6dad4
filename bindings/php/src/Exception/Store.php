<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The model store is damaged or not readable. */
final class Store extends MullamaException
{
}
