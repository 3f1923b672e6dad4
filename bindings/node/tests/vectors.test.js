// The vectors of conformance/vectors, each case a test.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { MullamaError, Runtime } from "../index.js";
import { realModel, vectorsFolder } from "./support.js";

const runner = "node";
const results = { language: runner, passed: 0, failed: 0, skipped: [], cases: {} };

/** Does what a case says, and gives the text that comes of it. A daemon is waited for. */
async function perform(vector, runtime, model) {
  switch (vector.op) {
    case "tokenize": {
      const flags = vector.flags ?? [];
      const tokens = await model[runtime.remote ? "tokenizeAsync" : "tokenize"](vector.text, {
        addSpecial: flags.includes("add_special"), parseSpecial: flags.includes("parse_special"),
      });
      assert.deepEqual([...tokens], vector.tokens);
      return undefined;
    }
    case "detokenize":
      return model[runtime.remote ? "detokenizeTextAsync" : "detokenizeText"](vector.tokens);
    case "render":
      return model.render(vector.request);
    case "load":
      return runtime.load(vector.model, vector.options);
    case "open":
      return open(vector);
    case "embed":
      return checkEmbeddings(vector, await model.embed(vector.request));
    case "rerank":
    case "score": {
      const { query, documents, ...rest } = vector.request;
      return checkRanking(vector, await model[vector.op](query, documents, rest));
    }
    case "index":
      return checkIndex(vector, runtime, model);
    case "chat":
    case "generate":
      return readAnswer(vector, await model[vector.op](vector.request));
    default:
      assert.fail(`the op ${vector.op} is not known`);
  }
}

/** Compares embeddings. What is wrong with one text is thrown, unless the case wants it. */
function checkEmbeddings(vector, got) {
  if (vector.want_errors) {
    assert.deepEqual(got.map((e) => e.error?.status ?? ""), vector.want_errors);
    return;
  }
  for (const { error, rows, vector: first } of got) {
    if (error) {
      throw error;
    }
    assert.deepEqual(first, rows[0]);
  }
  const wanted = vector.want_embeddings ?? [];
  assert.equal(got.length, wanted.length || got.length);
  for (const [i, rows] of wanted.entries()) {
    assert.equal(got[i].rows.length, rows.length);
    rows.forEach((row, j) => checkRow(got[i].rows[j], row));
  }
  const tokens = got.map((e) => e.tokens);
  const truncated = got.map((e) => e.truncated);
  assert.deepEqual(tokens, vector.want_tokens ?? tokens);
  assert.deepEqual(truncated, vector.want_truncated ?? truncated);
}

function checkRow(got, want) {
  assert.ok(got instanceof Float32Array);
  assert.equal(got.length, want.length);
  const mine = Math.hypot(...got);
  const theirs = Math.hypot(...want);
  const cosine = want.reduce((sum, x, i) => sum + x * got[i], 0) / (mine * theirs);
  assert.ok(cosine >= 0.9999, `the cosine is ${cosine}`);
  assert.ok(Math.abs(mine / theirs - 1) <= 0.02, `the length is ${mine}, not ${theirs}`);
}

function checkRanking(vector, { results, method, tokens }) {
  assert.deepEqual(results.map((r) => r.index), vector.want_scores.map((w) => w.index));
  for (const [i, { score }] of vector.want_scores.entries()) {
    const off = Math.abs(results[i].score - score);
    assert.ok(off <= 0.03 * Math.max(1, Math.abs(score)), `${results[i].score} is not ${score}`);
  }
  assert.equal(method, vector.want_method ?? method);
  assert.ok(tokens > 0);
}

/** Fills an index, opens it anew, and compares what a search finds. */
async function checkIndex(vector, runtime, loaded) {
  const model = vector.flags?.includes("no_model") ? undefined : loaded;
  const folder = mkdtempSync(join(tmpdir(), "mullama-"));
  const path = vector.model ?? join(folder, "docs.index");
  try {
    const index = await runtime.openIndex(path, { model, ...vector.options });
    try {
      for (const { documents } of vector.add) {
        await index.add(documents);
      }
      if (vector.train) {
        await index.train(vector.train);
      }
    } finally {
      await index.close();
    }
    await searchIndex(vector, await runtime.openIndex(path, { model }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function searchIndex(vector, index) {
  const { query, ...rest } = vector.request;
  try {
    const got = await index.search(typeof query === "string" ? query : vector.request, rest);
    assert.deepEqual(got.map((hit) => hit.id), vector.want_found.map((hit) => hit.id));
    for (const [i, { score }] of vector.want_found.entries()) {
      const off = Math.abs(got[i].score - score);
      assert.ok(off <= 0.03 * Math.max(1, Math.abs(score)), `${got[i].score} is not ${score}`);
    }
    const info = await index.info();
    for (const [field, want] of Object.entries(vector.want_info ?? {})) {
      assert.deepEqual(info[field], want, field);
    }
    await index.verify();
  } finally {
    await index.close();
  }
}

/** Opens a runtime of the case's own, and loads a model if one is named. */
async function open(vector) {
  const { library_dir: libraryDir, models_dir: modelsDir, ...rest } = vector.options;
  const runtime = new Runtime({ libraryDir, modelsDir, ...rest });
  return vector.model ? runtime.load(vector.model) : runtime.info();
}

async function readAnswer(vector, stream) {
  const parts = [];
  const logprobs = [];
  let last;
  for await (const chunk of stream) {
    parts.push(chunk.text);
    logprobs.push(...(chunk.json?.logprobs ?? []));
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
  if (vector.want_logprobs) {
    checkLogprobs(logprobs, vector.want_logprobs);
  }
  for (const [field, want] of Object.entries(vector.want_last ?? {})) {
    assert.deepEqual(last[field], want, field);
  }
  return parts.join("");
}

function checkLogprobs(got, wanted) {
  assert.equal(got.length, wanted.length);
  for (const [i, want] of wanted.entries()) {
    assert.equal(got[i].token, want.token);
    assert.ok(Math.abs(got[i].logprob - want.logprob) <= 0.05, `${got[i].logprob} of ${want.token}`);
    assert.equal(got[i].top_logprobs?.length ?? 0, want.top);
  }
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

async function record(as, vector, run) {
  const name = `${as}/${vector.name}`;
  results.cases[name] = "failed";
  results.failed++;
  await run();
  results.cases[name] = "passed";
  results.failed--;
  results.passed++;
}

function runVectors(file, as, name, runtimeOptions) {
  const text = readFileSync(join(vectorsFolder, `${file}.json`), "utf8");
  const vectors = JSON.parse(text.replaceAll("$VECTORS", vectorsFolder).replaceAll("$MODEL", name));
  describe(as === file ? as : `${as}, ${file}`, () => {
    let runtime;
    let model;
    before(async () => {
      runtime = new Runtime(runtimeOptions);
      runtime.remote = "url" in runtimeOptions;
      model = await runtime.load(name, vectors.load);
    });
    after(() => {
      model?.close();
      runtime.close();
    });
    for (const vector of vectors.cases) {
      const reason = vector.skip?.[runner] ?? vector.skip?.[as];
      if (reason) {
        results.skipped.push({ name: `${as}/${vector.name}`, reason });
        results.cases[`${as}/${vector.name}`] = "skipped";
      }
      test(vector.name, { skip: reason ?? false }, () =>
        record(as, vector, () => check(vector, runtime, model)));
    }
  });
}

runVectors("echo", "echo", "echo", { echo: true });
const { MULLAMA_TEST_URL: url, MULLAMA_TEST_EMBED_MODEL, MULLAMA_TEST_RANK_MODEL } = process.env;
const models = {
  smollm2: realModel, minilm: MULLAMA_TEST_EMBED_MODEL, ranker: MULLAMA_TEST_RANK_MODEL,
};
for (const [file, path] of Object.entries(models)) {
  if (path) {
    runVectors(file, file, path, {});
  }
  if (path && url) {
    runVectors(file, "daemon", file, { url });
  }
}

after(() => {
  if (process.env.MULLAMA_RESULTS) {
    writeFileSync(process.env.MULLAMA_RESULTS, JSON.stringify(results, null, 2) + "\n");
  }
});
