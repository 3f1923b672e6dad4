// The vectors of conformance/vectors, each case a test.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { realModel, vectorsFolder } from "./support.js";

const runner = "node";
const results = { language: runner, passed: 0, failed: 0, skipped: [], cases: {} };

/** Does what a case says, and gives the text that comes of it. */
async function perform(vector, runtime, model) {
  switch (vector.op) {
    case "tokenize": {
      const flags = vector.flags ?? [];
      const tokens = model.tokenize(vector.text, {
        addSpecial: flags.includes("add_special"), parseSpecial: flags.includes("parse_special"),
      });
      assert.deepEqual([...tokens], vector.tokens);
      return undefined;
    }
    case "detokenize":
      return model.detokenizeText(vector.tokens);
    case "render":
      return model.render(vector.request);
    case "load":
      return runtime.load(vector.model, vector.options);
    case "chat":
    case "generate":
      return readAnswer(vector, await model[vector.op](vector.request));
    default:
      assert.fail(`the op ${vector.op} is not known`);
  }
}

async function readAnswer(vector, stream) {
  const parts = [];
  let last;
  for await (const chunk of stream) {
    parts.push(chunk.text);
    if (parts.length === vector.cancel_after) {
      stream.cancel();
    }
    if (chunk.done) {
      last = chunk.json;
    }
  }
  if (vector.want_parts) {
    assert.deepEqual(parts, vector.want_parts);
  }
  for (const [field, want] of Object.entries(vector.want_last ?? {})) {
    assert.deepEqual(last[field], want, field);
  }
  return parts.join("");
}

async function check(vector, runtime, model) {
  if (vector.want_error) {
    await assert.rejects(perform(vector, runtime, model), (error) => {
      assert.ok(error instanceof MullamaError);
      assert.equal(error.status, vector.want_error);
      assert.ok(error.message.includes(vector.want_message ?? ""), error.message);
      return true;
    });
    return;
  }
  const text = await perform(vector, runtime, model);
  if (vector.want_text !== undefined) {
    assert.equal(text, vector.want_text);
  }
}

async function record(file, vector, run) {
  const name = `${file}/${vector.name}`;
  results.cases[name] = "failed";
  results.failed++;
  await run();
  results.cases[name] = "passed";
  results.failed--;
  results.passed++;
}

function runVectors(file, name, runtimeOptions) {
  const vectors = JSON.parse(readFileSync(join(vectorsFolder, `${file}.json`), "utf8"));
  describe(file, () => {
    let runtime;
    let model;
    before(async () => {
      runtime = new Runtime(runtimeOptions);
      model = await runtime.load(name, vectors.load);
    });
    after(() => {
      model?.close();
      runtime.close();
    });
    for (const vector of vectors.cases) {
      const reason = vector.skip?.[runner];
      if (reason) {
        results.skipped.push({ name: `${file}/${vector.name}`, reason });
        results.cases[`${file}/${vector.name}`] = "skipped";
      }
      test(vector.name, { skip: reason ?? false }, () =>
        record(file, vector, () => check(vector, runtime, model)));
    }
  });
}

runVectors("echo", "echo", { echo: true });
if (realModel) {
  runVectors("smollm2", realModel, {});
}

after(() => {
  if (process.env.MULLAMA_RESULTS) {
    writeFileSync(process.env.MULLAMA_RESULTS, JSON.stringify(results, null, 2) + "\n");
  }
});
