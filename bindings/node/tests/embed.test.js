// Embeddings: their arrays, the errors of single texts, and aborts.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { MullamaError, Runtime } from "../index.js";

const runtime = new Runtime({ echo: true });
const model = await runtime.load("echo", { ctx_size: 64 });
after(() => {
  model.close();
  runtime.close();
});

test("texts and whole requests give the same", async () => {
  const raw = { normalize: false };
  const [text] = await model.embed("ab", raw);
  assert.deepEqual(await model.embed(["ab"], raw), [text]);
  assert.deepEqual(await model.embed({ input: ["ab"] }, raw), [text]);
  assert.deepEqual(text.vector, Float32Array.of(97.5, 1));
});

test("without pooling each token has a row", async () => {
  const [first] = await model.embed(["ab", "c"], { pooling: "none", normalize: false });
  assert.deepEqual(first.rows, [Float32Array.of(97, 1), Float32Array.of(98, 1)]);
  assert.deepEqual([first.tokens, first.truncated, first.error], [2, false, undefined]);
});

test("each text has its embedding or its error", async () => {
  const [good, empty, long] = await model.embed(["a", "", "x".repeat(65)]);
  assert.equal(good.error, undefined);
  assert.ok(empty.error instanceof MullamaError);
  assert.deepEqual([empty.error.status, empty.vector, empty.rows], ["invalid", undefined, []]);
  assert.equal(long.error.status, "context_full");
});

test("what is no request is refused", async () => {
  await assert.rejects(model.embed([]), { status: "invalid" });
  await assert.rejects(model.embed(7), { status: "invalid" });
  await assert.rejects(model.rerank("q", "a"), { status: "invalid" });
  await assert.rejects(model.rerank("q", ["a"]), { status: "unsupported" });
  await assert.rejects(model.score("q", ["a"]), { status: "unsupported" });
});

test("an abort rejects with its reason", async () => {
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(model.embed("a", { signal: aborted }), /enough/);
  await assert.rejects(model.rerank("q", ["a"], { signal: aborted }), /enough/);
  const controller = new AbortController();
  const waiting = model.embed("a", { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});

test("a closed model does not embed", async () => {
  const closed = await runtime.load("echo");
  closed.close();
  await assert.rejects(closed.embed("a"), { status: "closed" });
  await assert.rejects(closed.score("q", ["a"]), { status: "closed" });
});
