// The official ollama client of JavaScript against the daemon.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ollama } from "ollama";

import {
  capital, collect, endless, model, slotsBecomeBusy, slotsBecomeFree, unload, url,
} from "./daemon.js";

const client = new Ollama({ host: url });
const greedy = { temperature: 0, num_predict: 32 };

const named = (models) => models.some((m) => m.model.startsWith(model));

test("lists, shows and runs models", async () => {
  assert.ok(named((await client.list()).models));

  const shown = await client.show({ model });
  assert.ok(shown.capabilities.includes("completion"));
  assert.equal(shown.details.format, "gguf");
  assert.equal(shown.model_info["general.architecture"], "llama");

  await client.generate({ model, prompt: "Hi", options: { num_predict: 1 } });
  const running = (await client.ps()).models;
  assert.ok(named(running));
  for (const m of running) {
    assert.ok(m.size > 0);
    assert.ok(new Date(m.expires_at) > new Date());
  }
});

test("chats, and streams the same text", async () => {
  const whole = await client.chat({ model, messages: capital, options: greedy });
  assert.match(whole.message.content, /Paris/);
  assert.equal(whole.message.role, "assistant");
  assert.deepEqual([whole.done, whole.done_reason], [true, "stop"]);
  assert.ok(whole.prompt_eval_count > 0 && whole.eval_count > 0);
  assert.ok(whole.total_duration >= whole.eval_duration && whole.eval_duration > 0);

  const parts = await collect(
    await client.chat({ model, messages: capital, options: greedy, stream: true }),
  );
  assert.equal(parts.map((p) => p.message.content).join(""), whole.message.content);
  assert.ok(parts.length > 3);
  assert.deepEqual(
    parts.map((p) => p.done),
    parts.map((_, i) => i === parts.length - 1),
  );
  assert.equal(parts.at(-1).eval_count, whole.eval_count);
});

test("generates, and streams the same text", async () => {
  const options = { temperature: 0, num_predict: 8 };
  const request = { model, prompt: "One, two, three,", raw: true, options };
  const whole = await client.generate(request);
  assert.equal(whole.done_reason, "length");
  assert.equal(whole.eval_count, 8);

  const parts = await collect(await client.generate({ ...request, stream: true }));
  assert.equal(parts.map((p) => p.response).join(""), whole.response);
});

test("continues from the context of an answer", async () => {
  const first = await client.generate({ model, prompt: "My name is Ada.", options: greedy });
  const second = await client.generate({
    model, prompt: "What is my name?", context: first.context, options: greedy,
  });
  assert.ok(second.prompt_eval_count > first.context.length);
});

test("ends at any of several stop strings", async () => {
  const options = { temperature: 0, num_predict: 40, stop: ["never written", "six"] };
  const prompt = "one, two, three, four,";
  const answer = await client.generate({ model, prompt, raw: true, options });
  assert.equal(answer.done_reason, "stop");
  assert.match(answer.response, /five/);
  assert.doesNotMatch(answer.response, /six/);
});

// The cache is emptied first, because what else is in it moves the last bits: docs/determinism.md.
test("repeats a seed", async () => {
  await unload();
  const options = { temperature: 1, num_predict: 24 };
  const ask = async (seed) =>
    (await client.generate({ model, prompt: "Once", options: { ...options, seed } })).response;
  assert.equal(await ask(7), await ask(7));
  assert.notEqual(await ask(7), await ask(8));
});

test("gives log probabilities, whole and streamed", async () => {
  const request = { model, messages: capital, options: greedy, logprobs: true, top_logprobs: 3 };
  const whole = await client.chat(request);
  assert.equal(whole.logprobs.map((l) => l.token).join(""), whole.message.content);
  for (const entry of whole.logprobs) {
    assert.equal(entry.top_logprobs.length, 3);
    assert.ok(entry.logprob <= 0 && entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob);
  }
  const parts = await collect(await client.chat({ ...request, stream: true }));
  const tokens = parts.flatMap((p) => p.logprobs ?? []).map((l) => l.token);
  assert.deepEqual(tokens, whole.logprobs.map((l) => l.token));
});

test("answers in the form of a schema", async () => {
  const format = {
    type: "object",
    properties: { city: { type: "string" }, people: { type: "integer" } },
    required: ["city", "people"],
  };
  const options = { temperature: 0, num_predict: 128 };
  const answer = await client.chat({ model, messages: capital, format, options });
  const value = JSON.parse(answer.message.content);
  assert.equal(typeof value.city, "string");
  assert.ok(Number.isInteger(value.people));
});

test("takes and gives text of any language, never a part of a character", async () => {
  const prompt = "你好,世界 🎉 Ünïcödé 👩‍👧. ".repeat(6) + "你好,";
  const request = { model, prompt, raw: true, options: { temperature: 0, num_predict: 24 } };
  const whole = (await client.generate(request)).response;
  const parts = await collect(await client.generate({ ...request, stream: true }));
  assert.equal(parts.map((p) => p.response).join(""), whole);
  assert.match(whole, /[^\x00-\x7f]/);
  assert.doesNotMatch(whole, /\ufffd/);
});

test("says what of a prompt was in the cache", async () => {
  const prompt = "There are many cities and rivers and mountains. ".repeat(12);
  const ask = () => client.generate({ model, prompt, options: { num_predict: 2 } });
  const first = await ask();
  const second = await ask();
  assert.equal(second.prompt_eval_count, first.prompt_eval_count);
  assert.ok(second.cached_tokens > second.prompt_eval_count / 2);
});

test("copies and deletes a model", async () => {
  const has = async () => (await client.list()).models.some((m) => m.model === "by-node:latest");
  await client.copy({ source: model, destination: "by-node" });
  assert.ok(await has());
  await client.delete({ model: "by-node" });
  assert.ok(!(await has()));
});

test("refuses a model that is not there with 404", async () => {
  const refused = (e) => {
    assert.equal(e.name, "ResponseError");
    assert.equal(e.status_code, 404);
    assert.match(e.message, /no-such-model/);
    return true;
  };
  const request = { model: "no-such-model", messages: capital, prompt: "Hi" };
  await assert.rejects(client.chat(request), refused);
  await assert.rejects(client.chat({ ...request, stream: true }), refused);
  await assert.rejects(client.generate(request), refused);
  await assert.rejects(client.show(request), refused);
  await assert.rejects(client.delete(request), refused);
});

test("refuses wrong parameters with 400", async () => {
  const refused = (e) => e.name === "ResponseError" && e.status_code === 400;
  const wrong = [
    { options: { top_p: 7 } },
    { options: { temperature: "warm" } },
    { options: { num_predict: 1.5 } },
    { format: "yaml" },
    { logprobs: true, top_logprobs: 21 },
  ];
  for (const fields of wrong) {
    await assert.rejects(client.generate({ model, prompt: "Hi", ...fields }), refused);
  }
  const messages = [{ role: "nobody", content: "Hi" }];
  await assert.rejects(client.chat({ model, messages }), refused);
});

for (const [name, leave] of [
  ["its stream is aborted", (stream) => stream.abort()],
  ["all requests of its client are aborted", (_, own) => own.abort()],
]) {
  test(`frees the slot of a request when ${name}`, async () => {
    await slotsBecomeFree();
    const own = new Ollama({ host: url });
    const options = { num_predict: -1, ignore_eos: true };
    const stream = await own.generate({ model, prompt: endless, raw: true, stream: true, options });
    await assert.rejects(
      async () => {
        let count = 0;
        for await (const part of stream) {
          assert.equal(part.done, false);
          if (++count < 5) continue;
          await slotsBecomeBusy();
          leave(stream, own);
        }
      },
      { name: "AbortError" },
    );
    await slotsBecomeFree();
  });
}

test("frees the slot of a request whose whole answer nobody waits for", async () => {
  await slotsBecomeFree();
  const left = new AbortController();
  const own = new Ollama({
    host: url,
    fetch: (to, how) => fetch(to, { ...how, signal: left.signal }),
  });
  const options = { num_predict: -1, ignore_eos: true };
  const answer = own.generate({ model, prompt: endless, raw: true, options });
  const rejected = assert.rejects(answer, { name: "AbortError" });
  await slotsBecomeBusy();
  left.abort();
  await rejected;
  await slotsBecomeFree();
});

test("keeps many requests at once apart", async () => {
  const options = { temperature: 0, num_predict: 8 };
  const ask = (n) => client.generate({ model, prompt: `${n} is a number`, options });
  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => ask(n)));
  for (const answer of answers) assert.ok(answer.eval_count > 0 && answer.eval_count <= 8);
});
