<?php

declare(strict_types=1);

/*
 * For opcache.preload: compiles the classes of this package when the server starts. Then
 * ffi.enable=preload, which is the default, lets them use FFI for every request.
 *
 * The library itself is not loaded here. PHP may run this in the process that it then forks its
 * workers from, and a library that was loaded before a fork refuses to work after it (status
 * "forked"). So there is no FFI::load here: each worker loads the library with its first runtime.
 *
 *     opcache.preload=/srv/app/vendor/mullama/mullama/preload.php
 *     opcache.preload_user=www-data
 *
 * A program that has a preload file of its own requires this one there.
 */
require_once __DIR__ . '/src/MullamaException.php';
foreach (glob(__DIR__ . '/src/{*,Exception/*}.php', GLOB_BRACE) ?: [] as $file) {
    require_once $file;
}
