// A daemon that does the work. This one runs on the event loop that the binding must not block.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { index, runModule } from "./support.js";

const parts = [
  { message: { role: "assistant", content: "a" }, done: false },
  { message: { role: "assistant", content: "b" }, done: false },
  { message: { role: "assistant", content: "" }, done: true, done_reason: "stop", eval_count: 2 },
];

let server;
let url;

before(async () => {
  server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/tokenize") {
      response.write('{"tokens":[7,8]}');
    } else if (request.url === "/detokenize") {
      response.write('{"content":"hé"}');
    } else if (request.url === "/api/chat") {
      parts.forEach((part) => response.write(JSON.stringify(part) + "\n"));
    } else {
      response.write('{"version":"1.2.3","done":true}');
    }
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

test("a daemon in the same process tells its version and has models", async () => {
  const runtime = new Runtime({ url });
  assert.equal((await runtime.info()).version, "1.2.3");
  (await runtime.load("any")).close();
});

test("tokens of a daemon come by promises, and never hold up the event loop", async () => {
  const model = await new Runtime({ url }).load("any");
  assert.deepEqual(await model.tokenizeAsync("hé", { addSpecial: true }), Int32Array.of(7, 8));
  assert.equal(await model.detokenizeTextAsync([7, 8]), "hé");
  for (const call of [
    () => model.tokenize("a"), () => model.detokenize([1]), () => model.detokenizeText([1]),
  ]) {
    assert.throws(call, { status: "unsupported", message: /Async/ });
  }
});

test("a daemon that is not there is an error", async () => {
  const nowhere = new Runtime({ url: "http://127.0.0.1:1" });
  await assert.rejects(nowhere.info(), (error) => error instanceof MullamaError);
});

// A process of its own: a fault of the library ended it here.
test("a daemon answers", async () => {
  const { stdout, stderr } = await runModule(`
    import { Runtime } from ${JSON.stringify(index)};
    const model = await new Runtime({ url: ${JSON.stringify(url)} }).load("any");
    const answer = await (await model.chat([{ role: "user", content: "hello" }])).collect();
    console.log(answer.text, answer.evalCount);
  `);
  assert.equal(stdout, "ab 2\n", stderr.slice(0, 300));
});
