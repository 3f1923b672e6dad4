<?php

declare(strict_types=1);

namespace Mullama\Exception;

use Mullama\MullamaException;

/** A chat template does not parse or render. */
final class Template extends MullamaException
{
}
