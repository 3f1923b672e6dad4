// Memory stays flat. The test runner gives this file a process of its own.

import assert from "node:assert/strict";
import { test } from "node:test";

import { MullamaError, Runtime } from "../index.js";

const all = 10_000;
const window = 1_000;
const bound = 8 << 20; // V8 keeps some pages of its heap for later

async function round() {
  const runtime = new Runtime({ echo: true });
  const model = await runtime.load("echo", { progress: () => true });
  assert.equal(model.detokenizeText(model.tokenize("Hi")), "Hi");
  assert.equal(await (await model.generate("Hi")).text(), "Hi");
  for await (const chunk of await model.generate("Hi")) {
    assert.equal(chunk.text, "H");
    break;
  }
  await assert.rejects(model.generate(""), MullamaError);
  model.close();
  runtime.close();
}

/** Goes so many rounds, and gives the least memory after some of them. */
async function leastOf(rounds) {
  let least = Infinity;
  for (let i = 1; i <= rounds; i++) {
    await round();
    if (i % 250 === 0) {
      globalThis.gc();
      least = Math.min(least, process.memoryUsage.rss());
    }
  }
  return least;
}

test("memory is flat over 10,000 rounds", async () => {
  await leastOf(window);
  const before = await leastOf(window);
  await leastOf(all - 3 * window);
  const grown = (await leastOf(window)) - before;
  assert.ok(grown <= bound, `memory grew by ${grown} bytes`);
});
