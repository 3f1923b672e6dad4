<?php

declare(strict_types=1);

/*
 * Runs all tests, or those whose names have a word: run.php [WORD]. Prints TAP, then a line that
 * counts. MULLAMA_RESULTS names a file for the results of the vectors.
 */

set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    if ((error_reporting() & $level) === 0) { // behind an @
        return false;
    }
    throw new ErrorException($message, 0, $level, $file, $line);
});

require dirname(__DIR__) . '/autoload.php';
require __DIR__ . '/harness.php';
const PARTS = ['vectors', 'handles', 'streams', 'texts', 'embed', 'loading', 'server', 'memory',
    'real'];
foreach (PARTS as $part) {
    require __DIR__ . "/$part.php";
}

/** @return array{string, string} passed, failed or skipped, and why */
function outcome(Closure $body): array
{
    try {
        $body();
        return ['passed', ''];
    } catch (Skip $e) {
        return ['skipped', $e->getMessage()];
    } catch (Throwable $e) {
        return ['failed', get_debug_type($e) . ": {$e->getMessage()}\n{$e->getTraceAsString()}"];
    }
}

/** @param array<string, array{string, string}> $outcomes */
function writeResults(string $file, array $outcomes): void
{
    $cases = array_filter($outcomes, isVector(...), ARRAY_FILTER_USE_KEY);
    $statuses = array_map(static fn (array $outcome): string => $outcome[0], $cases);
    $counts = array_count_values($statuses) + ['passed' => 0, 'failed' => 0];
    $skipped = [];
    foreach (array_keys($statuses, 'skipped', true) as $name) {
        $skipped[] = ['name' => $name, 'reason' => $cases[$name][1]];
    }
    file_put_contents($file, json_encode([
        'language' => 'php',
        'passed' => $counts['passed'],
        'failed' => $counts['failed'],
        'skipped' => $skipped,
        'cases' => (object) $statuses,
    ], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES) . "\n");
}

$word = $argv[1] ?? '';
$chosen = array_filter($tests, static fn (string $name): bool => $word === ''
    || str_contains($name, $word), ARRAY_FILTER_USE_KEY);
echo 'TAP version 13', "\n", '1..', count($chosen), "\n";
$outcomes = [];
foreach ($chosen as $name => $body) {
    [$status, $why] = $outcomes[$name] = outcome($body);
    $number = count($outcomes);
    echo match ($status) {
        'passed' => "ok $number - $name\n",
        'skipped' => "ok $number - $name # SKIP $why\n",
        default => "not ok $number - $name\n# " . str_replace("\n", "\n# ", $why) . "\n",
    };
}
$counts = array_count_values(array_column($outcomes, 0));
$counts += ['passed' => 0, 'failed' => 0, 'skipped' => 0];
if ($results = getenv('MULLAMA_RESULTS')) {
    writeResults($results, $outcomes);
}
echo "{$counts['passed']} passed, {$counts['failed']} failed, {$counts['skipped']} skipped\n";
exit($counts['failed'] === 0 && $counts['passed'] > 0 ? 0 : 1);
