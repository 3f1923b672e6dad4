// Language models in your process, on llama.cpp. index.d.ts describes all of it.

import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const prebuilt = join(here, "prebuilt", `${process.platform}-${process.arch}`);
const libraryName = process.platform === "darwin" ? "libmullama.dylib" : "libmullama.so";
const flags = { add_special: 1, parse_special: 2 };

export class MullamaError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "MullamaError";
    this.status = status;
  }
}

let addon;
let modelHandle; // of a Model, for indexes
const room = new Int32Array(1024); // of tokenizeShort

// The addon is loaded at first use, so that importing this module never fails and costs nothing.
function native() {
  if (addon === undefined) {
    const file = [prebuilt, join(here, "build")]
      .map((folder) => join(folder, "mullama.node"))
      .find((name) => existsSync(name));
    if (file === undefined) {
      throw new MullamaError("library_missing", `the addon of the package is not built: neither ` +
        `${prebuilt} nor ${join(here, "build")} has mullama.node; run "npm rebuild mullama"`);
    }
    addon = createRequire(import.meta.url)(file);
    addon.init((status, message) => new MullamaError(status, message), room);
  }
  return addon;
}

// Where libmullama may be: only where it was said to be, or beside the addon and where the system
// looks for libraries.
function libraryFiles(named) {
  if (!named) {
    return [join(prebuilt, libraryName), libraryName];
  }
  const isFolder = statSync(named, { throwIfNoEntry: false })?.isDirectory();
  return [isFolder ? join(named, libraryName) : named];
}

function invalid(message) {
  return new MullamaError("invalid", message);
}

// An abort, which may have come already, settles a promise at once. What it then still gives is
// closed.
async function abortable(promise, signal, close, giveUp = () => {}) {
  if (!signal) {
    return promise;
  }
  let abort;
  const aborted = new Promise((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) {
      abort();
    }
  });
  try {
    return await Promise.race([promise, aborted]);
  } catch (error) {
    if (signal.aborted) {
      giveUp();
      promise.then(close, () => {});
    }
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

// A name and a request are JSON objects or texts; TypeScript says so, and JavaScript is told here.
function object(value, what) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${what} must be an object`);
  }
  return value;
}

export class Runtime {
  #files;
  #options;
  #remote; // a daemon does the work
  #handle; // a promise, from the first call on
  #closed = false;

  constructor(options = {}) {
    const { library, libraryDir, modelsDir, ...rest } = object(options, "options");
    this.#files = () => libraryFiles(library || process.env.MULLAMA_LIBRARY);
    this.#remote = Boolean(rest.url);
    this.#options = JSON.stringify({ library_dir: libraryDir, models_dir: modelsDir, ...rest });
  }

  async #open() {
    if (this.#closed) {
      throw new MullamaError("closed", "the runtime is closed");
    }
    this.#handle ??= native().open(this.#files(), this.#options);
    try {
      return await this.#handle;
    } catch (error) {
      this.#handle = undefined; // the next call tries again
      throw error;
    }
  }

  async info() {
    return JSON.parse(await native().runtimeInfo(await this.#open()));
  }

  async models() {
    return JSON.parse(await native().runtimeModels(await this.#open())).models;
  }

  async version() {
    return native().version(await this.#open());
  }

  async load(name, options = {}) {
    const { signal, progress, ...rest } = object(options, "options");
    if (typeof name !== "string" || name.includes("\0")) {
      throw invalid("the name of a model must be a string without zero bytes");
    }
    signal?.throwIfAborted();
    const runtime = await this.#open();
    const flag = native().newFlag();
    const giveUp = () => native().raiseFlag(flag);
    let failed; // what progress threw, in an array
    const tell = (fraction) => {
      try {
        if (!failed && progress?.(fraction) === false) {
          giveUp();
        }
      } catch (error) {
        failed = [error];
        giveUp();
      }
    };
    const loading = native().load(runtime, name, JSON.stringify(rest), flag, tell);
    const close = (handle) => native().modelClose(handle);
    const handle = await abortable(loading, signal, close, giveUp).catch((error) => {
      throw failed ? failed[0] : error;
    });
    if (failed) {
      close(handle);
      throw failed[0];
    }
    return new Model(handle, this.#remote);
  }

  async openIndex(path, { model, ...options } = {}) {
    if (typeof path !== "string" || path.includes("\0")) {
      throw invalid("the path of an index must be a string without zero bytes");
    }
    if (model !== undefined && !(model instanceof Model)) {
      throw invalid("model must be a Model");
    }
    const runtime = await this.#open();
    const rest = JSON.stringify(options);
    return new Index(await native().indexOpen(runtime, path, modelHandle(model), rest), model);
  }

  close() {
    this.#closed = true;
    this.#handle?.then((handle) => native().runtimeClose(handle), () => {});
  }
}

function tokenizeFlags(text, { addSpecial, parseSpecial } = {}) {
  if (typeof text !== "string" && !(text instanceof Uint8Array)) {
    throw invalid("text must be a string or a Uint8Array");
  }
  return (addSpecial ? flags.add_special : 0) | (parseSpecial ? flags.parse_special : 0);
}

export class Model {
  #handle;
  #remote;

  /** @hidden */
  constructor(handle, remote) {
    this.#handle = handle;
    this.#remote = remote;
  }

  static {
    modelHandle = (model) => model?.#handle;
  }

  // Waiting for a daemon would hold up the event loop, on which the daemon itself may be.
  #mustBeHere(name) {
    if (this.#remote) {
      throw new MullamaError("unsupported",
        `${name} cannot wait for a daemon; use ${name}Async, which gives a promise`);
    }
  }

  async info() {
    return JSON.parse(await native().modelInfo(this.#handle));
  }

  tokenize(text, options) {
    this.#mustBeHere("tokenize");
    const flags = tokenizeFlags(text, options);
    const count = typeof text === "string"
      ? native().tokenizeShort(this.#handle, text, flags) : -1;
    return count < 0 ? native().tokenize(this.#handle, text, flags) : room.slice(0, count);
  }

  async tokenizeAsync(text, options) {
    return native().tokenizeAsync(this.#handle, text, tokenizeFlags(text, options));
  }

  detokenize(tokens) {
    this.#mustBeHere("detokenize");
    return native().detokenize(this.#handle, Int32Array.from(tokens));
  }

  async detokenizeAsync(tokens) {
    return native().detokenizeAsync(this.#handle, Int32Array.from(tokens));
  }

  detokenizeText(tokens) {
    this.#mustBeHere("detokenizeText");
    return this.detokenize(tokens).toString("utf8");
  }

  async detokenizeTextAsync(tokens) {
    return (await this.detokenizeAsync(tokens)).toString("utf8");
  }

  async render(request, options = {}) {
    const body = JSON.stringify(asChat(request, options));
    return JSON.parse(await native().render(this.#handle, body)).prompt;
  }

  async chat(request, { signal, ...options } = {}) {
    return this.#begin("chat", asChat(request, options), signal);
  }

  async generate(request, { signal, ...options } = {}) {
    const body = typeof request === "string" ? { prompt: request } : object(request, "request");
    return this.#begin("generate", { ...body, ...options }, signal);
  }

  async embed(request, { signal, ...options } = {}) {
    const isInput = typeof request === "string" || Array.isArray(request);
    const body = isInput ? { input: request } : object(request, "request");
    const list = await this.#wait("embed", { ...body, ...options }, signal);
    return list.map(({ values, rows: length, ...rest }) => {
      const width = values.length / length;
      const rows = Array.from({ length }, (_, i) => values.subarray(i * width, (i + 1) * width));
      return { vector: rows[0], rows, ...rest };
    });
  }

  async rerank(query, documents, options) {
    return this.#rank("rerank", query, documents, options);
  }

  async score(query, documents, options) {
    return this.#rank("score", query, documents, options);
  }

  async #rank(kind, query, documents, { signal, ...options } = {}) {
    const json = JSON.parse(await this.#wait(kind, { query, documents, ...options }, signal));
    const results = json.results.map((r) => ({ index: r.index, score: r.relevance_score }));
    return { results, method: json.method, tokens: json.usage.prompt_tokens, json };
  }

  // What an abort no longer waits for goes on, and nobody gets it.
  async #wait(kind, body, signal) {
    signal?.throwIfAborted();
    return abortable(native()[kind](this.#handle, JSON.stringify(body)), signal, () => {});
  }

  async #begin(kind, body, signal) {
    signal?.throwIfAborted();
    const beginning = native()[kind](this.#handle, JSON.stringify(body));
    const close = (handle) => native().streamClose(handle);
    return new Stream(this, await abortable(beginning, signal, close), signal);
  }

  close() {
    native().modelClose(this.#handle);
  }
}

function asChat(request, options) {
  const body = Array.isArray(request) ? { messages: request } : object(request, "request");
  return { ...body, ...options };
}

export class Index {
  #handle;
  #model; // must not be collected, which would close it

  /** @hidden */
  constructor(handle, model) {
    this.#handle = handle;
    this.#model = model;
  }

  async info() {
    return JSON.parse(await native().indexInfo(this.#handle));
  }

  async add(documents) {
    await native().indexAdd(this.#handle, JSON.stringify({ documents }, numbers));
  }

  async train(options = {}) {
    await native().indexTrain(this.#handle, JSON.stringify(object(options, "options")));
  }

  async search(query, options) {
    const body = typeof query === "string" ? { query } : object(query, "query");
    const request = JSON.stringify({ ...body, ...options }, numbers);
    return JSON.parse(await native().indexSearch(this.#handle, request)).results;
  }

  async verify() {
    await native().indexVerify(this.#handle);
  }

  async close() {
    await native().indexClose(this.#handle);
    this.#model = undefined;
  }
}

// JSON.stringify makes objects of typed arrays, where lists are meant.
function numbers(_, value) {
  return ArrayBuffer.isView(value) ? Array.from(value) : value;
}

export class Stream {
  #model; // must not be collected, which would end the answer
  #handle;
  #signal;
  #abort;
  #over = false;

  /** @hidden */
  constructor(model, handle, signal) {
    this.#model = model;
    this.#handle = handle;
    this.#signal = signal;
    if (signal) {
      // A signal may live for long. It must not keep a stream that nobody reads any more.
      const weak = new WeakRef(this);
      this.#abort = () => weak.deref()?.close();
      signal.addEventListener("abort", this.#abort, { once: true });
      if (signal.aborted) {
        this.close();
      }
    }
  }

  async next() {
    if (this.#over) {
      return { done: true, value: undefined };
    }
    let chunk;
    try {
      chunk = await native().streamNext(this.#handle);
    } catch (error) {
      this.close();
      this.#signal?.throwIfAborted();
      throw error;
    }
    if (chunk === undefined) {
      this.#signal?.throwIfAborted();
      this.#over = true;
      this.close();
      return { done: true, value: undefined };
    }
    chunk.json = chunk.json === "" ? undefined : JSON.parse(chunk.json);
    chunk.logprobs = chunk.json?.logprobs;
    return { done: false, value: chunk };
  }

  async return(value) {
    this.close();
    return { done: true, value };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async collect() {
    const answer = { text: "", thinking: "", tokens: [], logprobs: undefined, json: {} };
    for await (const chunk of this) {
      answer.text += chunk.text;
      answer.thinking += chunk.thinking;
      answer.tokens.push(...chunk.tokens);
      if (chunk.logprobs) {
        answer.logprobs = (answer.logprobs ?? []).concat(chunk.logprobs);
      }
      if (chunk.done) {
        answer.json = chunk.json;
      }
    }
    answer.doneReason = answer.json.done_reason;
    answer.promptEvalCount = answer.json.prompt_eval_count;
    answer.evalCount = answer.json.eval_count;
    answer.cachedTokens = answer.json.cached_tokens;
    return answer;
  }

  async text() {
    return (await this.collect()).text;
  }

  cancel() {
    if (!this.#over) {
      native().streamCancel(this.#handle);
    }
  }

  close() {
    native().streamClose(this.#handle);
    this.#model = undefined;
    this.#signal?.removeEventListener("abort", this.#abort);
  }
}

// Old runtimes have no such symbols, and no statement that uses them.
for (const { prototype } of [Runtime, Model, Index, Stream]) {
  if (Symbol.dispose) {
    prototype[Symbol.dispose] = prototype.close;
  }
  if (Symbol.asyncDispose) {
    prototype[Symbol.asyncDispose] = async function dispose() {
      await this.close();
    };
  }
}
