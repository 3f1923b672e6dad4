/// <reference lib="esnext.disposable" />

/** How a call failed. The names are those of the C ABI. */
export type Status =
  | "invalid"
  | "not_found"
  | "not_gguf"
  | "unsupported"
  | "context_full"
  | "template"
  | "grammar"
  | "out_of_memory"
  | "busy"
  | "store"
  | "library_missing"
  | "closed"
  | "cancelled"
  | "internal"
  | "forked"
  | "too_small"
  | "unreachable"
  | "unknown";

/** What the functions of this package throw; only an abort throws the signal's reason. */
export class MullamaError extends Error {
  constructor(status: Status, message: string);
  readonly name: "MullamaError";
  /** Which kind of error this is. */
  readonly status: Status;
}

/** How a runtime is opened. */
export interface RuntimeOptions {
  /** libmullama: its file or its folder. Default: `MULLAMA_LIBRARY`, then beside the package's
   * addon, then where the system looks. A file is loaded once in a process, for all runtimes. */
  library?: string;
  /** Folder of the native engine. Default: that of libmullama. */
  libraryDir?: string;
  /** Folder of the model store, in Ollama's layout. Default: none. */
  modelsDir?: string;
  /** Address of a daemon that is to do the work, such as `http://127.0.0.1:11434`. */
  url?: string;
  /** API key of that daemon. */
  key?: string;
  /** No engine, and one model, `echo`, that repeats what it is sent; for tests. */
  echo?: boolean;
}

/** What a runtime runs on. */
export interface RuntimeInfo {
  version: string;
  engine: string;
  devices?: Array<Record<string, unknown>>;
  [field: string]: unknown;
}

/** A model of the store, as `GET /api/tags` tells it. */
export interface ListedModel {
  name: string;
  model: string;
  [field: string]: unknown;
}

/** How a model is loaded: any option of docs/abi.md, and these two of JavaScript. */
export interface LoadOptions {
  /** Tokens that prompt and answer share. */
  ctx_size?: number;
  /** Requests computed at once. */
  slots?: number;
  [option: string]: unknown;
  /** Aborting rejects at once with the signal's reason, and gives the load up. */
  signal?: AbortSignal;
  /** Is told the loaded part, from 0 to 1. `false` gives the load up, which then fails with
   * `cancelled`; an exception does so, too, and is what `load` throws. */
  progress?: (fraction: number) => unknown;
}

/** The engine with the models that it has loaded. Opened by its first call, not by `new`. */
export class Runtime {
  constructor(options?: RuntimeOptions);
  /** What the runtime runs on. */
  info(): Promise<RuntimeInfo>;
  /** The models of the store, or of the daemon. */
  models(): Promise<ListedModel[]>;
  /** The version of libmullama. */
  version(): Promise<string>;
  /** Loads a GGUF file by its path, which begins with `/` or `.`, or a model of the store or of the
   * daemon by its name. Loading the same again is cheap: weights are shared. */
  load(name: string, options?: LoadOptions): Promise<Model>;
  /** Opens an index of documents, or makes an empty one if there is no file at the path. The file
   * is on this machine, also where a daemon computes. */
  openIndex(path: string, options?: IndexOptions): Promise<Index>;
  /** Closes the runtime; twice does nothing. Its models stay usable. */
  close(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A message of a conversation, as in the HTTP API. */
export interface Message {
  role: string;
  content?: string;
  [field: string]: unknown;
}

/** Fields of a request of the HTTP API. All go to the library as they are. */
export interface RequestOptions {
  options?: Record<string, unknown>;
  format?: string | object;
  tools?: object[];
  think?: boolean | string;
  logprobs?: boolean;
  top_logprobs?: number;
  truncate?: boolean;
  shift?: boolean;
  system?: string;
  raw?: boolean;
  [field: string]: unknown;
  /** Aborting closes the stream; what waits for it is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/** A request of `POST /api/chat`. */
export interface ChatRequest extends RequestOptions {
  messages: Message[];
  signal?: never;
}

/** A request of `POST /api/generate`. */
export interface GenerateRequest extends RequestOptions {
  prompt: string;
  signal?: never;
}

/** How a text becomes tokens. */
export interface TokenizeOptions {
  /** Add what the model wants around a text, such as BOS. */
  addSpecial?: boolean;
  /** Texts of control tokens become those; not for texts of users. */
  parseSpecial?: boolean;
}

/** Fields of a request of `POST /api/embed`. All go to the library as they are. */
export interface EmbedOptions {
  /** How the rows of tokens become one; `none` keeps all. Default: as the model's file says. */
  pooling?: "mean" | "cls" | "last" | "none";
  /** `false` leaves the numbers as they are computed; else each row has the length 1. */
  normalize?: boolean;
  /** So many numbers of each row, from its start. */
  dimensions?: number;
  /** Cuts the end off a text that is too long, which otherwise is an error. */
  truncate?: boolean;
  /** Puts the words before each text that the model was trained with. */
  task?: "query" | "document";
  /** A text of your own before each text. */
  prefix?: string;
  /** Most tokens of texts with a task, for a model for late interaction. */
  length?: number;
  [field: string]: unknown;
  /** Aborting rejects at once with the signal's reason; what is computed already goes on. */
  signal?: AbortSignal;
}

/** A request of `POST /api/embed`. */
export interface EmbedRequest extends EmbedOptions {
  input: string | string[];
  signal?: never;
}

/** The embedding of a text, or what is wrong with that text. */
export interface Embedding {
  /** The first of the rows, which is all of them but with the pooling `none`. */
  vector: Float32Array | undefined;
  /** One row, or with the pooling `none` one for each token; empty after an error. */
  rows: Float32Array[];
  /** How many tokens of the text were embedded. */
  tokens: number;
  /** The text was too long, and its end was left out. */
  truncated: boolean;
  /** What is wrong with the text. */
  error?: MullamaError;
}

/** Fields of a request of `POST /v1/rerank` and `POST /v1/score`. */
export interface RankOptions {
  /** So many of the best documents. */
  top_n?: number;
  /** For scores: most tokens of the query, in place of what the model declares. */
  query_length?: number;
  /** The same of documents. */
  document_length?: number;
  /** Scores as the head of the model computes them, instead of between 0 and 1. */
  raw_scores?: boolean;
  /** What a model that chats is told to judge. */
  instruction?: string;
  [field: string]: unknown;
  /** Aborting rejects at once with the signal's reason; what is computed already goes on. */
  signal?: AbortSignal;
}

/** The scores of documents. */
export interface Ranking {
  /** The best first. `index` is the number of the document; a higher score is better. */
  results: Array<{ index: number; score: number }>;
  /** How they were ranked: `head`, `judge` or `tokens`. */
  method: string;
  /** How many tokens were computed. */
  tokens: number;
  /** The whole answer, as the HTTP API has it. */
  json: Record<string, any>;
}

/** How an index is opened. */
export interface IndexOptions {
  /** Embeds what is added and searched as text; without one there are vectors alone. */
  model?: Model;
  /** Numbers of a vector; a new index without a model needs it. */
  dimensions?: number;
  /** How a new index keeps vectors; `f16` by default. */
  vectors?: "f32" | "f16" | "int8";
  /** Reads the file into memory instead of mapping it. */
  in_memory?: boolean;
  /** Threads of a search. */
  threads?: number;
  /** Name of a device that searches, such as `CUDA0`. */
  device?: string;
}

/** The vectors of the tokens of a text, such as `rows` of an embedding with the pooling `none`. */
export type TokenVectors = ArrayLike<ArrayLike<number>>;

/** A document to add: an id that no other has, and a text, or the vectors of its tokens. */
export type IndexDocument =
  { id: string; text: string } | { id: string; vectors: TokenVectors };

/** Fields of a request of `POST /v1/indexes/{index}/search`. */
export interface SearchOptions {
  /** So many of the best documents; 10 by default. */
  top_n?: number;
  /** After `train`: how many groups of similar tokens to look at for each token of the query. */
  probe?: number;
  /** How many of the documents in those groups are scored. */
  candidates?: number;
}

/** What is in an index. */
export interface IndexInfo {
  model: string;
  dimensions: number;
  vectors: string;
  documents: number;
  tokens: number;
  bytes: number;
  groups: number;
  grouped_documents: number;
}

/** A file of documents that are found by late interaction. */
export class Index {
  private constructor();
  /** What is in the index. */
  info(): Promise<IndexInfo>;
  /** Adds documents, all or none. They are in the file when the promise is fulfilled. */
  add(documents: IndexDocument[]): Promise<void>;
  /** Groups similar tokens of all documents, for searches with `probe`. */
  train(options?: { groups?: number }): Promise<void>;
  /** Finds the documents that score best, the best first. */
  search(
    query: string | { vectors: TokenVectors }, options?: SearchOptions,
  ): Promise<Array<{ id: string; score: number }>>;
  /** Reads the whole file, and rejects with `store` if it is damaged. */
  verify(): Promise<void>;
  /** Closes the index, after the calls under way; twice does nothing. */
  close(): Promise<void>;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a model's file says of it, and what it is doing. */
export interface ModelInfo {
  model: Record<string, unknown>;
  ctx_size: number;
  slots: number;
  [field: string]: unknown;
}

/** A loaded model. It computes several requests together. */
export class Model {
  private constructor();
  /** What the model's file says of it, and what it is doing. */
  info(): Promise<ModelInfo>;
  /** Makes tokens of a text, or of bytes that need not be UTF-8. Synchronous: it takes microseconds
   * for a sentence, and about a second for some megabytes. With a daemon it throws `unsupported`. */
  tokenize(text: string | Uint8Array, options?: TokenizeOptions): Int32Array;
  /** The same on a thread of its own: for long texts, and for a daemon. */
  tokenizeAsync(text: string | Uint8Array, options?: TokenizeOptions): Promise<Int32Array>;
  /** Makes the bytes of tokens. They need not be UTF-8 when they begin or end within a character.
   * Synchronous, as `tokenize`. */
  detokenize(tokens: Iterable<number> | ArrayLike<number>): Uint8Array;
  /** The same on a thread of its own. */
  detokenizeAsync(tokens: Iterable<number> | ArrayLike<number>): Promise<Uint8Array>;
  /** The same as a string; what is not UTF-8 becomes U+FFFD. */
  detokenizeText(tokens: Iterable<number> | ArrayLike<number>): string;
  /** The string on a thread of its own. */
  detokenizeTextAsync(tokens: Iterable<number> | ArrayLike<number>): Promise<string>;
  /** The prompt that a request of `chat` makes. */
  render(request: Message[] | ChatRequest, options?: RequestOptions): Promise<string>;
  /** Begins to answer a conversation. */
  chat(request: Message[] | ChatRequest, options?: RequestOptions): Promise<Stream>;
  /** Begins to continue a text. */
  generate(request: string | GenerateRequest, options?: RequestOptions): Promise<Stream>;
  /** Embeds texts, each on its own: what is wrong with one is the `error` of its embedding. With a
   * daemon it may reject instead. */
  embed(request: string | string[] | EmbedRequest, options?: EmbedOptions): Promise<Embedding[]>;
  /** Says how well documents answer a query, by a model that ranks or chats. */
  rerank(query: string, documents: string[], options?: RankOptions): Promise<Ranking>;
  /** The same by late interaction, which compares the vectors of tokens. */
  score(query: string, documents: string[], options?: RankOptions): Promise<Ranking>;
  /** Closes the model, which ends its streams; twice does nothing. */
  close(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A part of an answer. */
export interface Chunk {
  /** Whole characters; may be empty. */
  text: string;
  /** What the model thinks before it answers, if it does. */
  thinking: string;
  /** The tokens that text and thinking are of; empty with Ollama's daemon. */
  tokens: Int32Array;
  /** This is the last part. */
  done: boolean;
  /** Of the last part: the last line of the daemon's answer. Else undefined, or the logprobs. */
  json: Record<string, any> | undefined;
  /** What `json` has of them, if the request asked. */
  logprobs: Array<Record<string, any>> | undefined;
}

/** A whole answer. */
export interface Answer {
  text: string;
  thinking: string;
  tokens: number[];
  logprobs: Array<Record<string, any>> | undefined;
  /** Why it ended: `stop`, `length`, `cancelled` and so on. */
  doneReason: string;
  promptEvalCount: number | undefined;
  evalCount: number | undefined;
  /** How many tokens of the prompt were still in the cache. */
  cachedTokens: number | undefined;
  /** The last line of the daemon's answer. */
  json: Record<string, any>;
}

/**
 * An answer while it is generated: an iterator of its parts, for one reader. Leaving a `for await`
 * early, also by an exception, cancels the answer and closes the stream; so does its end.
 */
export class Stream implements AsyncIterableIterator<Chunk> {
  private constructor();
  /** Waits for the next part, without blocking the event loop. */
  next(): Promise<IteratorResult<Chunk, undefined>>;
  /** Cancels and closes. */
  return(value?: unknown): Promise<IteratorResult<Chunk, any>>;
  [Symbol.asyncIterator](): this;
  /** Reads all that is left. */
  collect(): Promise<Answer>;
  /** Reads all that is left, and gives its text. */
  text(): Promise<string>;
  /** Ends the answer. Its last part comes soon, with the reason `cancelled`. */
  cancel(): void;
  /** Ends the answer, if it has not ended, and frees the stream; twice does nothing. A `next` that
   * waits then gives the end; a later one throws. */
  close(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}
