// Reading, leaving, cancelling and closing.

import assert from "node:assert/strict";
import { test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { ask, echo, longEcho, realModel } from "./support.js";

const closed = (error) => error instanceof MullamaError && error.status === "closed";

test("a break closes the stream", async () => {
  const { model, prompt } = await longEcho();
  const stream = await model.generate(prompt);
  for await (const chunk of stream) {
    assert.equal(chunk.text, "x");
    break;
  }
  await assert.rejects(stream.next(), closed);
});

test("an exception of the consumer closes the stream and goes on", async () => {
  const { model, prompt } = await longEcho();
  const stream = await model.generate(prompt);
  const thrown = new Error("of the consumer");
  await assert.rejects(async () => {
    for await (const chunk of stream) {
      assert.equal(chunk.done, false);
      throw thrown;
    }
  }, thrown);
  await assert.rejects(stream.next(), closed);
});

test("after the end there is only the end", async () => {
  const { model } = await echo();
  const stream = await model.generate("ab");
  assert.equal(await stream.text(), "ab");
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  assert.equal(await stream.text(), "");
  stream.cancel();
  stream.close();
});

test("calls of next that do not wait for each other get their parts in order", async () => {
  const { model } = await echo();
  const stream = await model.generate("abc");
  const results = await Promise.all(Array.from({ length: 6 }, () => stream.next()));
  assert.deepEqual(results.map((r) => r.value?.text), ["a", "b", "c", "", undefined, undefined]);
});

test("a close settles all calls of next that wait", async () => {
  const { model, prompt } = await longEcho();
  const stream = await model.generate(prompt);
  const waiting = Array.from({ length: 1000 }, () => stream.next());
  stream.close();
  const results = await Promise.all(waiting);
  const parts = results.filter((result) => !result.done).length;
  assert.ok(results.slice(0, parts).every((result) => result.value.text === "x"));
  assert.ok(results.slice(parts).every((result) => result.value === undefined));
});

test("a cancelled answer says so in its last part", async () => {
  const { model, prompt } = await longEcho();
  const stream = await model.generate(prompt);
  await stream.next();
  await stream.next();
  stream.cancel();
  const answer = await stream.collect();
  assert.equal(answer.doneReason, "cancelled");
  assert.equal(answer.evalCount, 2);
  assert.equal(answer.text, "");
});

test("a whole answer has its counts and tokens", async () => {
  const { model } = await echo();
  const answer = await (await model.chat({ messages: ask("hé") })).collect();
  assert.equal(answer.text, "hé");
  assert.equal(answer.thinking, "");
  assert.equal(answer.doneReason, "stop");
  assert.equal(answer.promptEvalCount, 3);
  assert.equal(answer.evalCount, 3);
  assert.deepEqual(answer.tokens, [104, 195, 169]);
  assert.equal(answer.json.done, true);
});

test("options beside the messages go into the request", async () => {
  const { model } = await echo();
  const stream = await model.chat(ask("abcdef"), { options: { num_predict: 3 } });
  assert.equal(await stream.text(), "abc");
});

test("closing twice does nothing, using what is closed is an error", async () => {
  const { runtime, model } = await echo();
  const stream = await model.generate("abc");
  for (const object of [stream, model, runtime]) {
    object.close();
    object.close();
  }
  await assert.rejects(stream.next(), closed);
  assert.throws(() => stream.cancel(), closed);
  assert.throws(() => model.tokenize("a"), closed);
  assert.throws(() => model.detokenize([1]), closed);
  await assert.rejects(model.info(), closed);
  await assert.rejects(model.chat(ask("a")), closed);
  await assert.rejects(model.generate("a"), closed);
  await assert.rejects(model.render(ask("a")), closed);
  await assert.rejects(runtime.info(), closed);
  await assert.rejects(runtime.load("echo"), closed);
});

test("a runtime that was never used can be closed", async () => {
  const runtime = new Runtime({ echo: true });
  runtime.close();
  await assert.rejects(runtime.models(), closed);
});

test("models stay usable when their runtime is closed", async () => {
  const { runtime, model } = await echo();
  runtime.close();
  assert.equal(await (await model.generate("abc")).text(), "abc");
});

test("an abort rejects with its reason, before and after the request", async () => {
  const { runtime, model } = await longEcho(10).then(async ({ model: m }) =>
    ({ runtime: new Runtime({ echo: true }), model: m }));
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(runtime.load("echo", { signal }), reason);
  await assert.rejects(model.chat(ask("a"), { signal }), reason);
  await assert.rejects(model.generate("a", { signal }), reason);
});

test("an abort in the middle of an answer rejects with its reason", async () => {
  const { model, prompt } = await longEcho();
  const controller = new AbortController();
  const stream = await model.generate(prompt, { signal: controller.signal });
  const reason = new Error("enough");
  let parts = 0;
  await assert.rejects(async () => {
    for await (const chunk of stream) {
      assert.equal(chunk.text, "x");
      if (++parts === 3) {
        controller.abort(reason);
      }
    }
  }, reason);
  assert.equal(parts, 3);
});

test("an abort after the end changes nothing", async () => {
  const { model } = await echo();
  const controller = new AbortController();
  const stream = await model.generate("abc", { signal: controller.signal });
  assert.equal(await stream.text(), "abc");
  controller.abort();
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("the symbols of disposing close, where the runtime has them", {
  skip: Symbol.asyncDispose ? false : "this Node.js has no Symbol.asyncDispose",
}, async () => {
  const { runtime, model } = await echo();
  const stream = await model.generate("abc");
  await stream[Symbol.asyncDispose]();
  await assert.rejects(stream.next(), closed);
  model[Symbol.dispose]();
  await assert.rejects(model.info(), closed);
  await runtime[Symbol.asyncDispose]();
  await assert.rejects(runtime.info(), closed);
});

function statement(text) {
  try {
    return new (async () => {}).constructor("stream", text);
  } catch {
    return undefined;
  }
}

const using = statement("await using s = stream; return (await s.next()).value.text;");

test("using closes at the end of its block", {
  skip: using ? false : "this Node.js has no using statement",
}, async () => {
  const { model } = await echo();
  const stream = await model.generate("abc");
  assert.equal(await using(stream), "a");
  await assert.rejects(stream.next(), closed);
});

test("8 concurrent chats are equal to one alone", async () => {
  const { model } = await echo();
  const alone = await (await model.chat(ask("héllo"))).collect();
  const together = await Promise.all(
    Array.from({ length: 8 }, async () => (await model.chat(ask("héllo"))).collect()));
  assert.deepEqual(together, Array(8).fill(alone));
});

test("8 concurrent chats of a real model are equal to one alone", {
  skip: realModel ? false : "MULLAMA_TEST_MODEL is not set",
}, async () => {
  const runtime = new Runtime();
  const model = await runtime.load(realModel, { ctx_size: 1024, slots: 8 });
  const messages = [
    { role: "system", content: "You are a helpful assistant." },
    ...ask("What is the capital of France?"),
  ];
  const chat = async () => (await model.chat(messages, { options: { temperature: 0 } })).text();
  const alone = await chat();
  assert.equal(alone, "The capital of France is Paris.");
  assert.deepEqual(await Promise.all(Array.from({ length: 8 }, chat)), Array(8).fill(alone));
  model.close();
  runtime.close();
});

test("logprobs come parsed", {
  skip: realModel ? false : "MULLAMA_TEST_MODEL is not set",
}, async () => {
  const runtime = new Runtime();
  const model = await runtime.load(realModel, { ctx_size: 256 });
  const options = { temperature: 0, num_predict: 3 }; // sampled, it may end before the third
  const request = { prompt: "Once", logprobs: true, options };
  const answer = await (await model.generate(request)).collect();
  assert.equal(answer.logprobs.length, 3);
  assert.ok(answer.logprobs.every((entry) => entry.logprob <= 0));
});
