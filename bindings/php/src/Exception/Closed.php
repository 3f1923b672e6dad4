<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** The runtime, model or stream is closed. */
final class Closed extends MullamaException
{
}
