<?php

declare(strict_types=1);

/*
 * Texts and numbers that are odd, and requests in all their forms.
 */

test('zero bytes survive in every direction', static function (): void {
    $model = echoModel();
    $text = "\0a\0\0b\0";
    same($model->tokenize($text), [0, 97, 0, 0, 98, 0]);
    same($model->detokenize([0, 97, 0, 0, 98, 0]), $text);
    same($model->render(user($text)), "user: $text\n");
    same($model->chat(user($text))->text(), $text);
    same($model->generate($text)->text(), $text);
    $parts = [];
    foreach ($model->generate("a\0") as $chunk) {
        $parts[] = $chunk->text;
    }
    same($parts, ['a', "\0", '']);
});

test('text that is not UTF-8 is refused in requests and taken as bytes', static function (): void {
    fails('invalid', 'UTF-8', static fn () => echoModel()->generate("a\xff"));
    fails('invalid', 'UTF-8', static fn () => echoModel()->chat(user("\xc3")));
    same(echoModel()->tokenize("a\xff"), [97, 255]);
    same(echoModel()->detokenize([0xc3]), "\xc3");
});

test('numbers that JSON does not have are refused', static function (): void {
    $options = ['temperature' => NAN];
    fails('invalid', 'JSON', static fn () => echoModel()->generate('a', options: $options));
});

test('a name with a zero byte is refused', static function (): void {
    $runtime = new Mullama\Runtime(echo: true);
    fails('invalid', 'zero byte', static fn () => $runtime->load("echo\0.gguf"));
});

test('what is no token is refused', static function (): void {
    foreach ([[97, 'b'], [1 << 40], [1.5], [null]] as $tokens) {
        fails('invalid', 'token', static fn () => echoModel()->detokenize($tokens));
    }
    same(echoModel()->detokenize([-1, 97]), 'a', 'the library ignores what it does not know');
    same(echoModel()->detokenize(['x' => 97, 'y' => 98]), 'ab');
});

test('long texts', static function (): void {
    $text = str_repeat('aé😀', 100_000);
    $tokens = echoModel()->tokenize($text);
    same(count($tokens), strlen($text));
    same(md5(echoModel()->detokenize($tokens)), md5($text));
});

test('a request has many forms', static function (): void {
    $model = echoModel();
    $two = ['num_predict' => 2];
    $object = (object) ['prompt' => 'abc', 'options' => (object) $two];
    same($model->generate('abc', options: $two)->text(), 'ab');
    same($model->generate(['prompt' => 'abc', 'options' => $two])->text(), 'ab');
    same($model->generate(['prompt' => 'abc'], options: $two)->text(), 'ab');
    same($model->generate($object)->text(), 'ab');
    same($model->generate('abc', ...['options' => $two])->text(), 'ab');
    same($model->chat(['messages' => user('abc')], options: $two)->text(), 'ab');
    same($model->chat((object) ['messages' => user('abc')])->text(), 'abc');
    same($model->render(['messages' => user('abc')]), "user: abc\n");
});

test('named fields come before those of the request', static function (): void {
    $request = ['prompt' => 'abc', 'options' => ['num_predict' => 1]];
    same(echoModel()->generate($request, options: ['num_predict' => 2])->text(), 'ab');
});

test('fields without a name are refused', static function (): void {
    fails('invalid', 'names', static fn () => echoModel()->generate('a', ['num_predict' => 1]));
    fails('invalid', 'names', static fn () => echoModel()->chat(user('a'), 'json'));
});

test('empty requests are requests', static function (): void {
    fails('invalid', 'prompt', static fn () => echoModel()->generate((object) []));
    fails('invalid', 'messages', static fn () => echoModel()->chat([]));
    fails('invalid', 'messages', static fn () => echoModel()->render((object) []));
});

test('a key is not shown in traces', static function (): void {
    $open = static fn () => new Mullama\Runtime(url: 'nonsense', key: 'secret-key');
    $e = fails('invalid', 'url', $open);
    same(str_contains((string) $e . print_r($e->getTrace(), true), 'secret-key'), false, 'shown');
});
