// Uses all of index.d.ts; tsc checks it, nobody runs it.

import {
  MullamaError, Runtime, type Answer, type ChatRequest, type Chunk, type GenerateRequest,
  type EmbedOptions, type EmbedRequest, type Embedding, type Index, type IndexDocument, type IndexInfo, type IndexOptions, type ListedModel, type LoadOptions, type Message, type Model, type ModelInfo,
  type RankOptions, type Ranking, type RequestOptions, type RuntimeInfo, type RuntimeOptions, type SearchOptions, type Status, type Stream,
  type TokenizeOptions,
} from "../index.js";

const abort = new AbortController();

async function runtimes(): Promise<Runtime> {
  const options: RuntimeOptions = {
    library: "/a", libraryDir: "/b", modelsDir: "/c", url: "http://d", key: "e", echo: true,
  };
  const runtime = new Runtime(options);
  new Runtime().close();
  const info: RuntimeInfo = await runtime.info();
  const engine: string = info.engine + info.version + (info.devices?.length ?? 0);
  const listed: ListedModel[] = await runtime.models();
  const version: string = await runtime.version();
  console.log(engine, listed[0]?.name, listed[0]?.model, version);
  return runtime;
}

async function indexes(runtime: Runtime, model: Model): Promise<void> {
  const options: IndexOptions = { model, vectors: "int8", in_memory: true, threads: 1 };
  await using index: Index = await runtime.openIndex("/docs.index", options);
  const documents: IndexDocument[] = [
    { id: "a", text: "b" }, { id: "c", vectors: [new Float32Array(2)] },
  ];
  await index.add(documents);
  await index.train({ groups: 2 });
  const more: SearchOptions = { top_n: 2, probe: 1, candidates: 3 };
  const found: string[] = (await index.search("d", more)).map(({ id, score }) => `${id}${score}`);
  const info: IndexInfo = await index.info();
  console.log(found, (await index.search({ vectors: [[1, 2]] })).length, info.documents);
  await index.verify();
  await index.close();
}

async function models(runtime: Runtime): Promise<Model> {
  const options: LoadOptions = { ctx_size: 64, slots: 2, threads: 2, signal: abort.signal };
  const model = await runtime.load("echo", { ...options, progress: (f: number) => f < 0.5 });
  const info: ModelInfo = await model.info();
  const special: TokenizeOptions = { addSpecial: true, parseSpecial: false };
  const tokens: Int32Array = model.tokenize("text", special);
  const bytes: Uint8Array = model.detokenize(tokens);
  const promised: Int32Array = await model.tokenizeAsync(bytes, special);
  const later: Uint8Array = await model.detokenizeAsync(promised);
  console.log(later, (await model.detokenizeTextAsync(promised)).length);
  const text: string = model.detokenizeText([1, 2, 3]) + model.detokenizeText(new Set([1]));
  console.log(info.ctx_size, info.slots, info.model, model.tokenize(bytes), text);
  return model;
}

async function requests(model: Model): Promise<Stream[]> {
  const messages: Message[] = [{ role: "user", content: "Hi", images: [] }];
  const options: RequestOptions = {
    options: { temperature: 0 }, format: "json", tools: [{}], think: true, logprobs: true,
    top_logprobs: 2, truncate: true, shift: true, system: "S", raw: false, signal: abort.signal,
  };
  const chat: ChatRequest = { messages, format: { type: "object" } };
  const generate: GenerateRequest = { prompt: "a" };
  const prompt: string = await model.render(messages);
  return [
    await model.chat(messages), await model.chat(chat, options),
    await model.generate(prompt), await model.generate(generate, options),
  ];
}

async function embeddings(model: Model): Promise<number> {
  const options: EmbedOptions = {
    pooling: "none", normalize: false, dimensions: 64, truncate: true, task: "query", prefix: "p",
    signal: abort.signal,
  };
  const request: EmbedRequest = { input: ["a", "b"], pooling: "mean" };
  const all: Embedding[] = await model.embed(request, options);
  const vector: Float32Array | undefined = (await model.embed("a"))[0]?.vector;
  const rows: Float32Array[] = (await model.embed(["a"]))[0]?.rows ?? [];
  const status: Status | undefined = all[0]?.error?.status;
  const rank: RankOptions = {
    top_n: 1, raw_scores: true, instruction: "judge", signal: abort.signal,
  };
  const ranking: Ranking = await model.rerank("q", ["a"], rank);
  const scores: Ranking = await model.score("q", ["a"]);
  console.log(vector, rows, status, all[0]?.tokens, all[0]?.truncated, scores.method, scores.json);
  return (ranking.results[0]?.index ?? 0) + (ranking.results[0]?.score ?? 0) + ranking.tokens;
}

async function streams(stream: Stream): Promise<string> {
  for await (const chunk of stream) {
    const part: Chunk = chunk;
    const first: number | undefined = part.tokens[0];
    console.log(part.text, part.thinking, first, part.done, part.json?.done, part.logprobs?.length);
  }
  const next: IteratorResult<Chunk, undefined> = await stream.next();
  stream.cancel();
  await stream.return();
  const answer: Answer = await stream.collect();
  const count: number = (answer.evalCount ?? 0) + (answer.promptEvalCount ?? 0);
  console.log(next.done, count, answer.cachedTokens, answer.tokens, answer.logprobs, answer.json);
  return answer.text + answer.thinking + answer.doneReason + (await stream.text());
}

async function dispose(runtime: Runtime, model: Model, stream: Stream): Promise<void> {
  await using a = stream;
  using b = model;
  using c = runtime;
  await c[Symbol.asyncDispose]();
  a.close(), b.close(), c.close();
}

function failed(error: unknown): Status | undefined {
  // @ts-expect-error: there is no such status
  new MullamaError("full", "the cup is full");
  return error instanceof MullamaError && error.name === "MullamaError" ? error.status : undefined;
}

// @ts-expect-error: the name of a model is a string
void new Runtime().load(1);

export { dispose, embeddings, failed, models, requests, runtimes, streams };
