<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** A grammar or JSON schema cannot be used. */
final class Grammar extends MullamaException
{
}
