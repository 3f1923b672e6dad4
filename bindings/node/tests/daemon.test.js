// A daemon that does the work. This one runs on the event loop that the binding must not block.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { ask } from "./support.js";

const parts = [
  { message: { role: "assistant", content: "a" }, done: false },
  { message: { role: "assistant", content: "b" }, done: false },
  { message: { role: "assistant", content: "" }, done: true, done_reason: "stop", eval_count: 2 },
];

let server;
let runtime;

before(async () => {
  server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/api/chat") {
      parts.forEach((part) => response.write(JSON.stringify(part) + "\n"));
    } else {
      response.write('{"version":"1.2.3","done":true}');
    }
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  runtime = new Runtime({ url: `http://127.0.0.1:${server.address().port}` });
});

after(() => {
  server.closeAllConnections();
  server.close();
});

test("a daemon tells its version", async () => {
  assert.equal((await runtime.info()).version, "1.2.3");
});

test("a daemon answers", async () => {
  const model = await runtime.load("any");
  const answer = await (await model.chat(ask("hello"))).collect();
  assert.equal(answer.text, "ab");
  assert.equal(answer.evalCount, 2);
});

test("a daemon that is not there is an error", async () => {
  const nowhere = new Runtime({ url: "http://127.0.0.1:1" });
  await assert.rejects(nowhere.info(), (error) => error instanceof MullamaError);
});
