// The official openai client of JavaScript against the daemon.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { APIUserAbortError, BadRequestError, NotFoundError } from "openai";

import {
  capital, collect, endless, model, slotsBecomeBusy, slotsBecomeFree, unload, url,
} from "./daemon.js";

const client = new OpenAI({ baseURL: url + "/v1", apiKey: "none", maxRetries: 0 });

const chat = (fields, options) =>
  client.chat.completions.create({ model, messages: capital, temperature: 0, ...fields }, options);
const complete = (fields, options) => {
  const request = { model, prompt: "One, two, three,", temperature: 0, ...fields };
  return client.completions.create(request, options);
};

const text = (answer) => answer.choices[0].message.content;

test("lists models and tells of one", async () => {
  const models = await collect(await client.models.list());
  assert.ok(models.some((m) => m.id.startsWith(model) && m.object === "model"));
  assert.equal((await client.models.retrieve(model)).object, "model");
  await assert.rejects(client.models.retrieve("no-such-model"), NotFoundError);
});

test("chats, and streams the same text and usage", async () => {
  const whole = await chat({ max_tokens: 32 });
  assert.match(text(whole), /Paris/);
  assert.equal(whole.object, "chat.completion");
  assert.equal(whole.choices[0].message.role, "assistant");
  assert.equal(whole.choices[0].finish_reason, "stop");
  const usage = whole.usage;
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);

  const stream_options = { include_usage: true };
  const parts = await collect(await chat({ max_tokens: 32, stream: true, stream_options }));
  const last = parts.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.prompt_tokens, usage.prompt_tokens);
  assert.equal(last.usage.completion_tokens, usage.completion_tokens);
  assert.ok(last.usage.prompt_tokens_details.cached_tokens > 0);

  assert.equal(parts.map((p) => p.choices[0].delta.content ?? "").join(""), text(whole));
  assert.equal(parts[0].choices[0].delta.role, "assistant");
  assert.deepEqual(
    parts.map((p) => p.choices[0].finish_reason),
    parts.map((_, i) => (i === parts.length - 1 ? "stop" : null)),
  );
  assert.equal(new Set(parts.map((p) => p.id)).size, 1);
});

test("streams no usage unasked", async () => {
  const parts = await collect(await chat({ max_tokens: 4, stream: true }));
  assert.ok(parts.every((p) => !p.usage && p.choices.length === 1));
});

test("feeds the client's own gathering of a stream", async () => {
  const runner = client.chat.completions.stream({
    model, messages: capital, temperature: 0, max_tokens: 32,
    stream_options: { include_usage: true },
  });
  const gathered = await runner.finalChatCompletion();
  assert.equal(text(gathered), text(await chat({ max_tokens: 32 })));
  assert.ok((await runner.totalUsage()).completion_tokens > 0);
});

test("completes, and streams the same text", async () => {
  const whole = await complete({ max_tokens: 8 });
  assert.equal(whole.object, "text_completion");
  assert.equal(whole.usage.completion_tokens, 8);
  assert.equal(whole.choices[0].finish_reason, "length");
  const parts = await collect(await complete({ max_tokens: 8, stream: true }));
  assert.equal(parts.map((p) => p.choices[0]?.text ?? "").join(""), whole.choices[0].text);
});

test("completes several prompts, each as if alone", async () => {
  const prompt = ["One, two, three,", "20, 21, 22, 23,"];
  const both = await complete({ prompt, max_tokens: 6 });
  assert.deepEqual(both.choices.map((c) => c.index), [0, 1]);
  assert.match(both.choices[0].text, /four/);
  assert.match(both.choices[1].text, /24/);
});

test("keeps to max_completion_tokens", async () => {
  const answer = await chat({ max_completion_tokens: 2 });
  assert.equal(answer.usage.completion_tokens, 2);
  assert.equal(answer.choices[0].finish_reason, "length");
});

test("gives n different choices, whole and streamed", async () => {
  const fields = { n: 2, temperature: 1, seed: 1, max_tokens: 8 };
  const whole = await chat(fields);
  assert.deepEqual(whole.choices.map((c) => c.index), [0, 1]);
  assert.notEqual(whole.choices[0].message.content, whole.choices[1].message.content);

  const parts = await collect(await chat({ ...fields, stream: true }));
  const ends = parts.flatMap((p) => p.choices).filter((c) => c.finish_reason);
  assert.deepEqual(ends.map((c) => c.index).sort(), [0, 1]);
});

test("ends at any of several stop strings", async () => {
  const stop = ["never written", "six"];
  const answer = await complete({ prompt: "one, two, three, four,", max_tokens: 40, stop });
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.match(answer.choices[0].text, /five/);
  assert.doesNotMatch(answer.choices[0].text, /six/);
  assert.doesNotMatch(text(await chat({ stop: "capital" })), /capital/);
});

// The cache is emptied first, because what else is in it moves the last bits: docs/determinism.md.
test("repeats a seed", async () => {
  await unload();
  const ask = async (seed) => text(await chat({ temperature: 1.5, seed, max_tokens: 16 }));
  assert.equal(await ask(5), await ask(5));
  assert.notEqual(await ask(5), await ask(6));
});

test("gives log probabilities, whole and streamed", async () => {
  const fields = { max_tokens: 32, logprobs: true, top_logprobs: 2 };
  const whole = await chat(fields);
  const entries = whole.choices[0].logprobs.content;
  const bytes = Buffer.from(entries.flatMap((e) => e.bytes));
  assert.equal(bytes.toString("utf8"), text(whole));
  for (const entry of entries) {
    assert.equal(entry.top_logprobs.length, 2);
    assert.ok(entry.logprob <= 0 && entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob);
  }
  const parts = await collect(await chat({ ...fields, stream: true }));
  const streamed = parts.flatMap((p) => p.choices[0].logprobs?.content ?? []);
  assert.deepEqual(streamed.map((e) => e.token), entries.map((e) => e.token));
});

test("gives log probabilities of completions", async () => {
  const answer = await complete({ max_tokens: 6, logprobs: 2 });
  const { tokens, token_logprobs, top_logprobs, text_offset } = answer.choices[0].logprobs;
  assert.equal(tokens.join(""), answer.choices[0].text);
  assert.equal(tokens.length, 6);
  assert.deepEqual([token_logprobs.length, top_logprobs.length, text_offset.length], [6, 6, 6]);
});

test("answers in the form of a schema", async () => {
  const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const json_schema = { name: "answer", strict: true, schema };
  const response_format = { type: "json_schema", json_schema };
  const answer = await client.chat.completions.parse({
    model, messages: capital, temperature: 0, max_tokens: 64, response_format,
  });
  assert.equal(typeof JSON.parse(text(answer)).city, "string");
});

test("takes and gives text of any language, never a part of a character", async () => {
  const prompt = "你好,世界 🎉 Ünïcödé 👩‍👧. ".repeat(6) + "你好,";
  const whole = (await complete({ prompt, max_tokens: 24 })).choices[0].text;
  const parts = await collect(await complete({ prompt, max_tokens: 24, stream: true }));
  assert.equal(parts.map((p) => p.choices[0]?.text ?? "").join(""), whole);
  assert.match(whole, /[^\x00-\x7f]/);
  assert.doesNotMatch(whole, /\ufffd/);
});

test("says what of a prompt was in the cache, whole and streamed", async () => {
  const messages = [
    { role: "system", content: "You know many towns and valleys and lakes. ".repeat(12) },
    { role: "user", content: "Name one." },
  ];
  const first = (await chat({ messages, max_tokens: 2 })).usage;
  const second = (await chat({ messages, max_tokens: 2 })).usage;
  const stream_options = { include_usage: true };
  const parts = await collect(
    await chat({ messages, max_tokens: 2, stream: true, stream_options }),
  );
  for (const usage of [second, parts.at(-1).usage]) {
    assert.equal(usage.prompt_tokens, first.prompt_tokens);
    assert.ok(usage.prompt_tokens_details.cached_tokens > usage.prompt_tokens / 2);
  }
});

test("refuses a model that is not there with the client's class for 404", async () => {
  const refused = (e) => {
    assert.ok(e instanceof NotFoundError);
    assert.match(e.message, /no-such-model/);
    return true;
  };
  await assert.rejects(chat({ model: "no-such-model" }), refused);
  await assert.rejects(chat({ model: "no-such-model", stream: true }), refused);
  await assert.rejects(complete({ model: "no-such-model" }), refused);
});

test("refuses wrong parameters with the client's class for 400", async () => {
  const wrong = [
    { messages: [] },
    { messages: [{ role: "nobody", content: "Hi" }] },
    { temperature: -3 },
    { temperature: "warm" },
    { top_p: 7 },
    { n: 0 },
    { max_tokens: 1.5 },
    { top_logprobs: 2 },
    { logprobs: true, top_logprobs: 21 },
    { response_format: { type: "yaml" } },
  ];
  for (const fields of wrong) {
    await assert.rejects(chat(fields), BadRequestError, JSON.stringify(fields));
  }
});

test("refuses a prompt that does not fit with its code", async () => {
  const messages = [{ role: "user", content: "word ".repeat(100_000) }];
  await assert.rejects(chat({ messages }), (e) => {
    assert.ok(e instanceof BadRequestError);
    assert.equal(e.code, "context_length_exceeded");
    return true;
  });
});

test("frees the slot of a request when its stream is left", async () => {
  await slotsBecomeFree();
  for await (const part of await complete({ prompt: endless, max_tokens: 4000, stream: true })) {
    assert.equal(part.choices[0].finish_reason, null);
    await slotsBecomeBusy();
    break; // the client aborts the request when its loop is left
  }
  await slotsBecomeFree();
});

test("frees the slot of a request when its stream is aborted", async () => {
  await slotsBecomeFree();
  const left = new AbortController();
  const stream = await complete(
    { prompt: endless, max_tokens: 4000, stream: true }, { signal: left.signal },
  );
  for await (const part of stream) {
    assert.equal(part.choices[0].finish_reason, null);
    await slotsBecomeBusy();
    left.abort(); // the client ends the loop without an error
  }
  await slotsBecomeFree();
});

test("frees the slots of a request whose whole answer nobody waits for", async () => {
  await slotsBecomeFree();
  const left = new AbortController();
  const answer = complete({ prompt: endless, n: 2, max_tokens: 4000 }, { signal: left.signal });
  const rejected = assert.rejects(answer, APIUserAbortError);
  await slotsBecomeBusy();
  left.abort();
  await rejected;
  await slotsBecomeFree();
});

test("keeps many requests at once apart", async () => {
  const ask = (n) => complete({ prompt: `${n} is a number`, max_tokens: 8 });
  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => ask(n)));
  for (const answer of answers) assert.ok(answer.usage.completion_tokens <= 8);
});
