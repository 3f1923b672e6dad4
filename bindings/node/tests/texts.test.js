// Texts, arguments and errors.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { ask, echo, index, scratchFile } from "./support.js";

const status = (name) => (error) => {
  assert.ok(error instanceof MullamaError && error instanceof Error, String(error));
  assert.equal(error.name, "MullamaError");
  assert.equal(error.status, name);
  assert.ok(error.message.length > 0);
  return true;
};

test("bytes that are not UTF-8 come back as they were", async () => {
  const { model } = await echo();
  const bytes = Uint8Array.of(0xff, 0, 0xc3, 0x61);
  const tokens = model.tokenize(bytes);
  assert.deepEqual([...tokens], [0xff, 0, 0xc3, 0x61]);
  assert.deepEqual(Uint8Array.from(model.detokenize(tokens)), bytes);
  assert.equal(model.detokenizeText(tokens), "\ufffd\0\ufffda");
});

test("promises of tokens take what is there when they are asked for", async () => {
  const { model } = await echo();
  const bytes = Uint8Array.of(0xff, 0, 0x61);
  const promise = model.tokenizeAsync(bytes);
  bytes.fill(1);
  const tokens = await promise;
  assert.deepEqual(tokens, Int32Array.of(0xff, 0, 0x61));
  const back = model.detokenizeAsync(tokens);
  tokens.fill(1);
  assert.deepEqual(Uint8Array.from(await back), Uint8Array.of(0xff, 0, 0x61));
  await assert.rejects(model.tokenizeAsync(1), status("invalid"));
  await assert.rejects(model.detokenizeAsync(null), TypeError);
  model.close();
  await assert.rejects(model.tokenizeAsync("a"), status("closed"));
  await assert.rejects(model.detokenizeAsync([1]), status("closed"));
});

test("a part of a larger buffer is only that part", async () => {
  const { model } = await echo();
  const part = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  assert.deepEqual([...model.tokenize(part)], [2, 3]);
  assert.equal(model.tokenize(new Uint8Array(0)).length, 0);
});

test("half of a surrogate pair becomes U+FFFD", async () => {
  const { model } = await echo();
  assert.equal(model.detokenizeText(model.tokenize("a\ud800b")), "a\ufffdb");
  assert.equal(await (await model.chat(ask("a\ud800b"))).text(), "a\ufffdb");
});

test("a zero byte survives", async () => {
  const { model } = await echo();
  assert.equal(await (await model.generate("a\0b")).text(), "a\0b");
  assert.equal(await model.render(ask("a\0b")), "user: a\0b\n");
});

test("tokens may be any list of numbers", async () => {
  const { model } = await echo();
  for (const tokens of [[97, 98], Int32Array.of(97, 98), new Set([97, 98])]) {
    assert.equal(model.detokenizeText(tokens), "ab");
  }
});

test("a long text has as many tokens as it should", async () => {
  const { model } = await echo();
  const text = "é".repeat(500_000);
  const tokens = model.tokenize(text);
  assert.equal(tokens.length, 1_000_000);
  assert.equal(model.detokenizeText(tokens), text);
});

test("texts around the length of the short way are whole", async () => {
  const { model } = await echo();
  for (const character of ["a", "é", "世", "😀"]) {
    for (let length = 250; length < 1030; length++) {
      const text = character.repeat(length);
      assert.equal(model.tokenize(text).length, Buffer.byteLength(text));
    }
  }
});

test("arguments of a wrong type are errors", async () => {
  const { runtime, model } = await echo();
  assert.throws(() => new Runtime(null), status("invalid"));
  assert.throws(() => model.tokenize(1), status("invalid"));
  assert.throws(() => model.tokenize(null), status("invalid"));
  assert.throws(() => model.detokenize(null), TypeError);
  await assert.rejects(runtime.load(), status("invalid"));
  await assert.rejects(runtime.load("echo\0other"), status("invalid"));
  await assert.rejects(runtime.load("echo", null), status("invalid"));
  await assert.rejects(model.chat("hello"), status("invalid"));
  await assert.rejects(model.chat(), status("invalid"));
  await assert.rejects(model.generate(), status("invalid"));
  await assert.rejects(model.render(1), status("invalid"));
});

test("options of a runtime that are not known are errors", async () => {
  await assert.rejects(new Runtime({ ecko: true }).info(), status("invalid"));
  await assert.rejects(new Runtime({ url: "x" }).info(), status("invalid"));
});

test("a runtime and a model tell of themselves", async () => {
  const { runtime, model } = await echo({ ctx_size: 64 });
  assert.equal((await runtime.info()).engine, "echo");
  assert.match(await runtime.version(), /^\d+\.\d+\.\d+/);
  assert.deepEqual((await runtime.models()).map((m) => m.name), ["clock", "echo"]);
  assert.equal((await model.info()).ctx_size, 64);
});

test("progress is told before the model is there", async () => {
  const runtime = new Runtime({ echo: true });
  const told = [];
  await runtime.load("echo", { progress: (fraction) => told.push(fraction) });
  assert.deepEqual(told, [1]);
});

test("what progress throws, load throws", async () => {
  const runtime = new Runtime({ echo: true });
  const thrown = new Error("of progress");
  const progress = () => {
    throw thrown;
  };
  await assert.rejects(runtime.load("echo", { progress }), thrown);
});

test("a program of child_process.fork has a library of its own", async () => {
  await echo();
  const file = scratchFile("child.mjs");
  writeFileSync(file, `import { Runtime } from ${JSON.stringify(index)};
    const model = await new Runtime({ echo: true }).load("echo");
    process.send(await (await model.generate("abc")).text());
    process.disconnect();`);
  const child = fork(file);
  const [text, code] = await Promise.all([
    new Promise((resolve) => child.once("message", resolve)),
    new Promise((resolve) => child.once("exit", resolve)),
  ]);
  assert.equal(text, "abc");
  assert.equal(code, 0);
});
