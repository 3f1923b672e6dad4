// What several tests need.

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Runtime } from "../index.js";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");

export const index = new URL("../index.js", import.meta.url).href;
export const vectorsFolder = join(root, "conformance", "vectors");
export const realModel = process.env.MULLAMA_TEST_MODEL;

const scratch = mkdtempSync(join(tmpdir(), "mullama-node-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

export function scratchFile(name) {
  return join(scratch, name);
}

/** The model that repeats what it is sent. */
export async function echo(options = {}) {
  const runtime = new Runtime({ echo: true });
  const model = await runtime.load("echo", options);
  return { runtime, model };
}

/** A prompt of so many tokens of the echo, and the model for it. */
export async function longEcho(size = 10_000) {
  const { model } = await echo({ ctx_size: size });
  return { model, prompt: "x".repeat(size) };
}

export function ask(content) {
  return [{ role: "user", content }];
}

/** Builds a library of stub.c. */
export function stub(name, ...defines) {
  const file = scratchFile(`${name}.so`);
  execFileSync(process.env.CC || "cc", [
    "-shared", "-fPIC", "-pthread", `-I${join(root, "include")}`,
    ...defines.map((define) => `-D${define}`), join(here, "stub.c"), "-o", file,
  ]);
  return file;
}

/** Runs a module's text in a process of its own; gives its exit code, signal and output. */
export function runModule(text, ...args) {
  return new Promise((resolve) => {
    const options = ["--expose-gc", "--input-type=module", "--eval", text, ...args];
    const child = execFile(process.execPath, options, (error, stdout, stderr) => {
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr });
    });
  });
}

/** Lets the event loop turn so many times. */
export async function turns(count) {
  for (let i = 0; i < count; i++) {
    await new Promise(setImmediate);
  }
}

/** Waits, with collections of garbage, until something is so. */
export async function until(condition) {
  while (!(await condition())) {
    globalThis.gc();
    await turns(1);
  }
}
