// The daemon under test. The Go test that runs this says where it is and what its model is called.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const url = process.env.MULLAMA_URL;
export const model = process.env.MULLAMA_MODEL;

// Questions whose greedy answers are compared leave the model no doubt, here and in the tests: without
// a seed the last bits move with what is in the cache (docs/determinism.md).
export const capital = [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content: "What is the capital of France?" },
];

// What a model that nothing stops writes for minutes: no test waits for its end.
export const endless = "Count to a million: one, two, three,";

async function aSlotIsBusy() {
  const slots = await (await fetch(url + "/slots")).json();
  return slots.some((slot) => slot.is_processing);
}

// Nothing here is about speed: a request that goes on unheard keeps its slot for much longer than
// the deadline.
async function slotsBecome(busy) {
  const deadline = Date.now() + 10_000;
  while ((await aSlotIsBusy()) !== busy) {
    assert.ok(Date.now() < deadline, busy ? "no request has a slot" : "a request still has a slot");
    await sleep(20);
  }
}

export const slotsBecomeBusy = () => slotsBecome(true);
export const slotsBecomeFree = () => slotsBecome(false);

export async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

// unload makes the next request begin with an empty cache.
export async function unload() {
  const body = JSON.stringify({ model, keep_alive: 0 });
  const answer = await fetch(url + "/api/generate", { method: "POST", body });
  assert.equal(answer.status, 200);
  await answer.text();
}
