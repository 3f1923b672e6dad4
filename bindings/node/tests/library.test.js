// Finding libmullama, and what happens around calls that wait.

import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { after, test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { ask, longEcho, realModel, scratchFile, stub, turns, until } from "./support.js";

const missing = (part) => (error) => {
  assert.ok(error instanceof MullamaError);
  assert.equal(error.status, "library_missing");
  assert.ok(error.message.includes(part), error.message);
  return true;
};

let gates = 0;

function newGate() {
  return scratchFile(`gate${gates++}`);
}

const library = stub("waiting");

test("a missing library says where it was looked for", async () => {
  const named = new Runtime({ library: "/nowhere/libmullama.so" });
  await assert.rejects(named.info(), missing("/nowhere/libmullama.so"));
  await assert.rejects(named.info(), missing("MULLAMA_LIBRARY"));
});

test("an engine that is missing is named", async () => {
  const runtime = new Runtime({ libraryDir: "/nowhere" });
  await assert.rejects(runtime.info(), { status: "library_missing", message: /nowhere/ });
});

test("MULLAMA_LIBRARY may name a file or a folder", async () => {
  const before = process.env.MULLAMA_LIBRARY;
  after(() => (process.env.MULLAMA_LIBRARY = before));
  process.env.MULLAMA_LIBRARY = library;
  assert.equal(await new Runtime().version(), "stub");
  process.env.MULLAMA_LIBRARY = scratchFile("");
  await assert.rejects(new Runtime().info(), missing(scratchFile("libmullama.so")));
  process.env.MULLAMA_LIBRARY = before;
  assert.notEqual(await new Runtime({ echo: true }).version(), "stub");
});

test("a library of another version is refused", async () => {
  const other = stub("other", "STUB_INCOMPLETE", "STUB_ABI_VERSION=99");
  await assert.rejects(new Runtime({ library: other }).info(), missing("version 99"));
});

test("a library without all functions is refused", async () => {
  const half = stub("half", "STUB_INCOMPLETE");
  await assert.rejects(new Runtime({ library: half }).info(), missing("mullama_version"));
});

test("loads that wait block neither the event loop nor its pool", async () => {
  const gate = newGate();
  const runtime = new Runtime({ library });
  let loaded = 0;
  const loading = Array.from({ length: 12 }, () =>
    runtime.load(gate).then((model) => (loaded++, model)));
  await turns(100);
  await readFile(library); // the pool of the event loop reads files
  assert.equal(loaded, 0);
  await writeFile(gate, "");
  await Promise.all(loading);
  assert.equal(loaded, 12);
});

test("chats that wait to begin block neither", async () => {
  const gate = newGate();
  await writeFile(gate, "");
  const model = await new Runtime({ library }).load(gate);
  await rm(gate);
  const beginning = Array.from({ length: 12 }, () => model.chat(ask("a")));
  await turns(100);
  await readFile(library);
  await writeFile(gate, "");
  const streams = await Promise.all(beginning);
  streams.forEach((stream) => stream.close());
});

test("a load that is given up ends", async () => {
  const runtime = new Runtime({ library });
  const progress = (fraction) => {
    assert.equal(fraction, 0.5);
    return false;
  };
  await assert.rejects(runtime.load(newGate(), { progress }), { status: "cancelled" });
});

test("an abort of a load that waits rejects at once", async () => {
  const controller = new AbortController();
  const loading = new Runtime({ library }).load(newGate(), { signal: controller.signal });
  await turns(10);
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(loading, reason);
});

test("an abort while the runtime is opened rejects, too", async () => {
  const controller = new AbortController();
  const loading = new Runtime({ library }).load(newGate(), { signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(loading, reason);
});

test("what comes after an abort is closed", async () => {
  const gate = newGate();
  await writeFile(gate, "");
  const runtime = new Runtime({ library });
  const model = await runtime.load(gate);
  await rm(gate);
  const before = (await runtime.info()).streams;
  const controller = new AbortController();
  const beginning = model.generate("a", { signal: controller.signal });
  await turns(10);
  controller.abort();
  await assert.rejects(beginning, { name: "AbortError" });
  await writeFile(gate, "");
  await until(async () => (await runtime.info()).streams > before);
});

test("a stream whose part never comes can be closed", async () => {
  const gate = newGate();
  await writeFile(gate, "");
  const model = await new Runtime({ library }).load(gate);
  const stream = await model.chat(ask("a"));
  const next = stream.next();
  await turns(10);
  stream.close();
  assert.deepEqual(await next, { done: true, value: undefined });
});

test("an abort while a part is waited for rejects with its reason", async () => {
  const gate = newGate();
  await writeFile(gate, "");
  const model = await new Runtime({ library }).load(gate);
  const controller = new AbortController();
  const stream = await model.chat(ask("a"), { signal: controller.signal });
  const next = stream.next();
  await turns(10);
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(next, reason);
});

test("more tokens, and longer ones, than expected are read whole", async () => {
  const gate = newGate();
  await writeFile(gate, "");
  const model = await new Runtime({ library }).load(gate);
  assert.equal(model.detokenizeText([1, 2, 3]), "x".repeat(300));
  assert.equal(await model.detokenizeTextAsync([1, 2, 3]), "x".repeat(300));
  assert.deepEqual(model.tokenize("abc"), new Int32Array(60));
  assert.deepEqual(await model.tokenizeAsync("abc"), new Int32Array(60));
});

test("what is dropped is closed", async () => {
  const gate = newGate();
  await writeFile(gate, "");
  const runtime = new Runtime({ library });
  const before = await runtime.info();
  await (async () => {
    const model = await new Runtime({ library }).load(gate);
    await model.chat(ask("a"));
  })();
  await until(async () => {
    const now = await runtime.info();
    return ["runtimes", "models", "streams"].every((kind) => now[kind] > before[kind]);
  });
});

test("a stream keeps its model", async () => {
  const stream = await (async () => {
    const { model, prompt } = await longEcho(2000);
    return model.generate(prompt);
  })();
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.text.length;
    if (size % 500 === 0) {
      globalThis.gc();
    }
  }
  assert.equal(size, 2000);
});

test("the garbage collector may run at any time", async () => {
  const { model, prompt } = await longEcho(1000);
  for (let i = 0; i < 200; i++) {
    const stream = await model.generate(prompt);
    await stream.next(); // and is left half way, without a word
    globalThis.gc();
    await new Runtime({ echo: true }).load("echo");
  }
  assert.equal(await (await model.generate("abc")).text(), "abc");
});

test("all goes well while garbage is collected at every turn of the event loop", async () => {
  let over = false;
  const collect = () => {
    globalThis.gc();
    return over || setImmediate(collect);
  };
  collect();
  for (let i = 0; i < 10; i++) {
    const model = await new Runtime({ echo: true }).load("echo", { progress: () => {} });
    const answers = [model.generate("abc"), model.chat(ask("abc"))];
    for (const stream of await Promise.all(answers)) {
      assert.equal(await stream.text(), "abc");
    }
    assert.equal(await model.detokenizeTextAsync(await model.tokenizeAsync("abc")), "abc");
    for await (const chunk of await model.generate("abc")) {
      assert.equal(chunk.text, "a");
      break;
    }
    await assert.rejects(model.generate(""), { status: "invalid" });
  }
  over = true;
});

test("the event loop turns while an answer is generated", async () => {
  const { model, prompt } = await longEcho(2000);
  let count = 0;
  let over = false;
  const tick = () => {
    count++;
    if (!over) {
      setImmediate(tick);
    }
  };
  setImmediate(tick);
  assert.equal((await (await model.generate(prompt)).text()).length, 2000);
  over = true;
  assert.ok(count > 1, `the loop turned ${count} times`);
});

test("the event loop turns while a real model is loaded and answers", {
  skip: realModel ? false : "MULLAMA_TEST_MODEL is not set",
}, async () => {
  const counts = { now: 0 };
  let over = false;
  const tick = () => {
    counts.now++;
    if (!over) {
      setImmediate(tick);
    }
  };
  setImmediate(tick);
  const model = await new Runtime().load(realModel, { ctx_size: 256 });
  counts.loaded = counts.now;
  await (await model.generate("Once upon a time", {
    options: { temperature: 0, num_predict: 8 },
  })).text();
  over = true;
  assert.ok(counts.loaded > 1 && counts.now > counts.loaded + 8, JSON.stringify(counts));
  model.close();
});
