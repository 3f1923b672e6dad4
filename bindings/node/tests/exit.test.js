// Processes and workers that end in the middle of something.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { ask, echo, index, realModel, runModule, scratchFile, stub } from "./support.js";

const library = stub("exit");

const prologue = `
  import { Runtime } from ${JSON.stringify(index)};
  const prompt = "x".repeat(10_000);
  const model = await new Runtime({ echo: true }).load("echo", { ctx_size: 10_000 });
  const stream = await model.generate(prompt);
  await stream.next();
`;

async function endsWith(want, text, ...args) {
  const { code, signal, stderr } = await runModule(text, ...args);
  assert.equal(signal, null, stderr);
  assert.equal(code, want, stderr);
  return stderr;
}

test("a process ends by itself with an open stream", () => endsWith(0, prologue));

test("process.exit ends a process with an open stream", () =>
  endsWith(7, `${prologue} stream.next(); stream.next(); process.exit(7);`));

test("an exception ends a process with an open stream", async () => {
  const stderr = await endsWith(1, `${prologue}
    for await (const chunk of stream) throw new Error("mine");`);
  assert.match(stderr, /Error: mine/);
});

test("process.exit ends a process while a load and a stream wait", async () => {
  const gate = scratchFile("open");
  await writeFile(gate, "");
  await endsWith(0, `
    import { Runtime } from ${JSON.stringify(index)};
    const runtime = new Runtime({ library: ${JSON.stringify(library)} });
    const stream = await (await runtime.load(${JSON.stringify(gate)})).chat({});
    stream.next();
    runtime.load(${JSON.stringify(scratchFile("never"))});
    setImmediate(() => process.exit(0));
  `);
});

const openStreams = `
  import { Runtime } from ${JSON.stringify(index)};
  const model = await new Runtime().load(${JSON.stringify(realModel)}, { ctx_size: 256 });
  for (let i = 0; i < 3; i++) {
    const stream = await model.generate("Once", { options: { num_predict: 200 } });
    await stream.next();
  }
`;
const skip = realModel ? false : "MULLAMA_TEST_MODEL is not set";

test("a process with a real model and open streams ends", { skip }, () => endsWith(0, openStreams));

test("process.exit ends a process with a real model and open streams", { skip }, () => endsWith(0, `${openStreams} process.exit(0);`));

/** A worker that runs a module's text, as far as its first message. */
async function startWorker(text) {
  const url = new URL(`data:text/javascript,${encodeURIComponent(text)}`);
  const worker = new Worker(url, { env: { ...process.env } });
  const exited = once(worker, "exit");
  const [message] = await once(worker, "message");
  return { worker, message, exited };
}

const inWorker = `import { parentPort } from "node:worker_threads"; ${prologue}`;

test("a worker answers as the main thread does", async () => {
  const { message, exited } = await startWorker(
    `${inWorker} parentPort.postMessage(await (await model.generate("abc")).text());`);
  assert.equal(message, "abc");
  assert.deepEqual(await exited, [0]);
});

test("several workers answer at once", async () => {
  const text = `${inWorker} parentPort.postMessage((await stream.text()).length);`;
  const workers = await Promise.all(Array.from({ length: 4 }, () => startWorker(text)));
  assert.deepEqual(workers.map((w) => w.message), Array(4).fill(9_999));
  await Promise.all(workers.map((w) => w.exited));
});

test("a worker may be terminated in the middle of a stream", async () => {
  const { model } = await echo();
  for (let i = 0; i < 10; i++) {
    const { worker } = await startWorker(`${inWorker}
      parentPort.postMessage("reading");
      for await (const chunk of stream) globalThis.last = chunk;`);
    await worker.terminate();
    assert.equal(await (await model.chat(ask("abc"))).text(), "abc");
  }
});

test("a worker may exit with a stream that waits", async () => {
  const { exited } = await startWorker(`${inWorker}
    parentPort.postMessage("reading");
    stream.next(); stream.next();
    process.exit(0);`);
  assert.deepEqual(await exited, [0]);
});

// Only the worker has loaded the addon, so Node.js unloads it when the worker ends. The thread of
// the load must not notice.
test("a thread of a worker that is gone may come back", async () => {
  const [gate, closed] = [scratchFile("worker-gate"), scratchFile("worker-stream")];
  await writeFile(closed, "");
  const worker = `
    import { parentPort } from "node:worker_threads";
    import { Runtime } from ${JSON.stringify(index)};
    const runtime = new Runtime({ library: ${JSON.stringify(library)} });
    const model = await runtime.load(${JSON.stringify(closed)});
    (await model.chat({})).next();
    runtime.load(${JSON.stringify(gate)});
    setImmediate(() => parentPort.postMessage("waiting"));
  `;
  await endsWith(0, `
    import { once } from "node:events";
    import { Worker } from "node:worker_threads";
    for (let i = 0; i < 5; i++) {
      const url = new URL("data:text/javascript," + encodeURIComponent(${JSON.stringify(worker)}));
      const thread = new Worker(url);
      await once(thread, "message");
      await thread.terminate();
      for (let turn = 0; turn < 50; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  `);
});
