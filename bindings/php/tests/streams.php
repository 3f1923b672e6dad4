<?php

declare(strict_types=1);

/*
 * Answers that are read, left half way, cancelled, and begun together.
 */

test('an exception in the loop closes the stream', static function (): void {
    $stream = echoModel()->generate('abcdef');
    $seen = '';
    try {
        foreach ($stream as $chunk) {
            $seen .= $chunk->text;
            if ($seen === 'abc') {
                throw new DomainException('enough');
            }
        }
    } catch (DomainException) {
        $seen .= '!';
    }
    same($seen, 'abc!');
    fails('closed', 'stream', static fn () => $stream->next());
    same(echoModel()->generate('abc')->text(), 'abc', 'the next answer');
});

test('break closes the stream', static function (): void {
    $stream = echoModel()->generate('abc');
    foreach ($stream as $chunk) {
        same($chunk->text, 'a');
        break;
    }
    fails('closed', 'stream', static fn () => $stream->next());
});

test('return out of the loop closes the stream', static function (): void {
    $stream = echoModel()->generate('abc');
    $first = static function () use ($stream): string {
        foreach ($stream as $chunk) {
            return $chunk->text;
        }
        return '';
    };
    same($first(), 'a');
    fails('closed', 'stream', static fn () => $stream->next());
});

test('a generator that is destroyed early closes the stream', static function (): void {
    $stream = echoModel()->generate('abc');
    $parts = $stream->getIterator();
    same($parts->current()->text, 'a');
    unset($parts);
    fails('closed', 'stream', static fn () => $stream->next());
});

test('a generator that never ran leaves the stream open', static function (): void {
    $stream = echoModel()->generate('abc');
    $parts = $stream->getIterator();
    unset($parts);
    same($stream->text(), 'abc');
});

test('an exception thrown into the generator closes the stream', static function (): void {
    $stream = echoModel()->generate('abc');
    $parts = $stream->getIterator();
    $parts->current();
    try {
        $parts->throw(new DomainException('stop'));
    } catch (DomainException $e) {
        same($e->getMessage(), 'stop');
    }
    same($parts->valid(), false);
    fails('closed', 'stream', static fn () => $stream->next());
});

test('a stream that is read by hand stays open', static function (): void {
    $stream = echoModel()->generate('ab');
    same([$stream->next()?->text, $stream->next()?->text], ['a', 'b']);
    $last = $stream->next();
    same([$last?->text, $last?->done], ['', true]);
    same($stream->next(), null);
    same($stream->next(), null);
    $stream->cancel(); // of an answer that is over: nothing to do
    $stream->close();
});

test('what was read already is not collected again', static function (): void {
    $stream = echoModel()->generate('abc');
    $stream->next();
    same($stream->collect()->text, 'bc');
});

test('cancelling before the first part', static function (): void {
    $stream = echoModel()->generate('abc');
    $stream->cancel();
    $answer = $stream->collect();
    same([$answer->text, $answer->doneReason], ['', 'cancelled']);
});

test('an answer has its counts', static function (): void {
    $answer = echoModel()->chat(user('abc'), options: ['num_predict' => 2])->collect();
    same($answer->text, 'ab');
    same((string) $answer, 'ab');
    same([$answer->doneReason, $answer->promptEvalCount, $answer->evalCount], ['length', 3, 2]);
    same([$answer->thinking, $answer->cachedTokens, $answer->logprobs], ['', 0, []]);
    same($answer->json['done'], true);
});

test('answers begun together are the same as one alone', static function (): void {
    $alone = echoModel()->chat(user('héllo 😀'))->text();
    $streams = [];
    for ($i = 0; $i < 8; $i++) {
        $streams[] = echoModel()->chat(user('héllo 😀'));
    }
    foreach ($streams as $stream) {
        same($stream->text(), $alone);
    }
});

test('answers are read in turns', static function (): void {
    $streams = ['a' => echoModel()->generate('1234'), 'b' => echoModel()->generate('5678')];
    $seen = '';
    for ($i = 0; $i < 4; $i++) {
        foreach ($streams as $stream) {
            $seen .= $stream->next()?->text;
        }
    }
    same($seen, '15263748');
});

test('a fiber may leave an answer half way', static function (): void {
    $stream = echoModel()->generate('abc');
    $fiber = new Fiber(static function () use ($stream): void {
        foreach ($stream as $chunk) {
            Fiber::suspend($chunk->text);
        }
    });
    same($fiber->start(), 'a');
    same($fiber->resume(), 'b');
    unset($fiber);
    gc_collect_cycles();
    fails('closed', 'stream', static fn () => $stream->next());
});
