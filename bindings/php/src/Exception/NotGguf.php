<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The file is not a complete GGUF model. */
final class NotGguf extends MullamaException
{
}
