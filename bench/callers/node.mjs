// The calls from Node.js: README.md says what they are.

import { createRequire } from "node:module";
import { Runtime } from "../../bindings/node/index.js";

const TEXT = "Hello, world!";
const STORY = "Once upon a time, in a small village by the sea, there lived a";
const SAMPLES = 10_000;
const CALLS = 10; // in a sample
const WARM = 10; // samples that are not kept
const PARTS = 1000;
const STREAM_TOKENS = 256;
const STREAM_REPS = 3;
const REQUESTS = 16;
const REQUEST_TOKENS = 64;
const REQUEST_REPS = 2;

const now = process.hrtime.bigint;

/** The nanoseconds that a call takes, the mean of each ten. */
function measure(call) {
  const samples = [];
  for (let sample = -WARM; sample < SAMPLES; sample++) {
    const start = now();
    for (let repeat = 0; repeat < CALLS; repeat++) {
      call();
    }
    const each = Number(now() - start) / CALLS;
    if (sample >= 0) {
      samples.push(each);
    }
  }
  return samples;
}

function generate(model, prompt, tokens) {
  return model.generate(prompt, { raw: true, options: { temperature: 0, num_predict: tokens } });
}

/** Reads an answer to its end, and counts its tokens. */
async function drain(stream) {
  let tokens = 0;
  for await (const chunk of stream) {
    tokens += chunk.tokens.length;
  }
  return tokens;
}

async function calls(path) {
  const model = await new Runtime().load(path, { vocab_only: true });
  const addon = createRequire(import.meta.url)("../../bindings/node/build/mullama.node");
  const handle = await addon.open([`${process.env.MULLAMA_LIBRARY}/libmullama.so`], "{}");
  return {
    noop: measure(() => addon.noop(handle)),
    tokenize: measure(() => model.tokenize(TEXT)),
  };
}

async function delays() {
  const model = await new Runtime({ echo: true }).load("clock");
  const delay = [];
  for await (const chunk of await generate(model, "?", PARTS)) {
    const arrived = now();
    if (!chunk.done) {
      delay.push(Number(arrived - BigInt(chunk.text)));
    }
  }
  return { delay };
}

/** Does some work once to warm up and then some times more. */
async function repeat(reps, work) {
  const tokens = [];
  const seconds = [];
  await work();
  for (let rep = 0; rep < reps; rep++) {
    const start = now();
    tokens.push(await work());
    seconds.push(Number(now() - start) / 1e9);
  }
  return { tokens, seconds };
}

async function stream(path) {
  const model = await new Runtime().load(path, { slots: 1 });
  return repeat(STREAM_REPS, async () => drain(await generate(model, STORY, STREAM_TOKENS)));
}

async function concurrent(path) {
  const model = await new Runtime().load(path, { slots: REQUESTS, ctx_size: 512 });
  const ask = async (i) => drain(await generate(model, `${i}. ${STORY}`, REQUEST_TOKENS));
  return repeat(REQUEST_REPS, async () => {
    const counts = await Promise.all(Array.from({ length: REQUESTS }, (_, i) => ask(i)));
    return counts.reduce((sum, count) => sum + count);
  });
}

const work = { calls, delays, stream, concurrent }[process.argv[2]];
if (work === undefined) {
  console.error("usage: node node.mjs calls|delays|stream|concurrent [MODEL]");
  process.exit(2);
}
console.log(JSON.stringify(await work(process.argv[3])));
