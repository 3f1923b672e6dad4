// Written by tools/bindgen from include/mullama.h. Change the header instead.

//! mullama.h: language models in your process, on llama.cpp.
//!
//! ```text
//! mullama_runtime *runtime;
//! mullama_model *model;
//! mullama_stream *stream;
//! mullama_chunk chunk = {.struct_size = sizeof chunk};
//! mullama_error *error = NULL;
//!
//! mullama_runtime_open(NULL, &runtime, &error);
//! mullama_model_load(runtime, "/models/smollm2.gguf", NULL, NULL, NULL, &model, &error);
//! mullama_model_chat(model, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
//!                    &stream, &error);
//! while (mullama_stream_next(stream, &chunk, &error) == MULLAMA_OK) {
//!     fwrite(chunk.text, 1, chunk.text_size, stdout);
//! }
//! ```
//!
//! Rules that hold for all functions:
//!
//! - Texts that go in are UTF-8 and end with a zero byte, unless a size stands beside them; others
//!   are MULLAMA_ERR_INVALID. Requests and options are JSON objects; NULL stands for an empty one.
//! - A function that can fail returns a mullama_status. Its last parameter, where error is given
//!   and not NULL, then receives an error that says what was wrong and what to do; the caller frees
//!   it with mullama_error_free. On success *error stays as it is. Other results are set on success
//!   only.
//! - Handles may be used from any thread, and several threads at once, but one thread at a time
//!   reads a stream. A handle is no address. Using a closed one, or NULL, is MULLAMA_ERR_CLOSED;
//!   closing it again does nothing. Closing a runtime or model does not wait: what uses it ends
//!   soon.
//! - What a function gives, its comment says who frees. Nothing that the caller passes is kept.
//! - A function of the caller that is called returns: no exception and no longjmp may leave it.
//! - The library starts threads of its own, which a process does not have after fork(): in the
//!   child every function returns MULLAMA_ERR_FORKED. Load the library in the child instead.
//! - A fault of the library never ends the process: it is MULLAMA_ERR_INTERNAL, from then on for
//!   every call.

use std::ffi::{c_char, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// Changes when a function or struct of this file changes its meaning. New functions, and new
/// fields at the end of structs, do not change it.
pub const MULLAMA_ABI_VERSION: u32 = 1;

/// How a call ended. The numbers stay.
pub type mullama_status = i32;

pub const MULLAMA_OK: i32 = 0;
/// A stream is over.
pub const MULLAMA_END: i32 = 1;
/// An argument, option or request is not valid.
pub const MULLAMA_ERR_INVALID: i32 = 2;
/// No such file, or model of the store.
pub const MULLAMA_ERR_NOT_FOUND: i32 = 3;
/// Not a complete GGUF model.
pub const MULLAMA_ERR_NOT_GGUF: i32 = 4;
/// This engine, or this model, cannot do that.
pub const MULLAMA_ERR_UNSUPPORTED: i32 = 5;
/// The prompt does not fit in the context.
pub const MULLAMA_ERR_CONTEXT_FULL: i32 = 6;
/// A chat template does not parse or render.
pub const MULLAMA_ERR_TEMPLATE: i32 = 7;
/// A grammar or JSON schema cannot be used.
pub const MULLAMA_ERR_GRAMMAR: i32 = 8;
/// The model does not fit in memory.
pub const MULLAMA_ERR_OUT_OF_MEMORY: i32 = 9;
/// Too many requests wait already.
pub const MULLAMA_ERR_BUSY: i32 = 10;
/// The model store is damaged or not readable.
pub const MULLAMA_ERR_STORE: i32 = 11;
/// The native library is missing or of another version.
pub const MULLAMA_ERR_LIBRARY_MISSING: i32 = 12;
/// The handle is NULL or closed.
pub const MULLAMA_ERR_CLOSED: i32 = 13;
/// The call was cancelled.
pub const MULLAMA_ERR_CANCELLED: i32 = 14;
/// A fault that is not the caller's.
pub const MULLAMA_ERR_INTERNAL: i32 = 15;
/// The process was forked after the library was loaded.
pub const MULLAMA_ERR_FORKED: i32 = 16;
/// The buffer is too small; the size needed was set.
pub const MULLAMA_ERR_TOO_SMALL: i32 = 17;
/// Another machine that the model is on does not answer.
pub const MULLAMA_ERR_UNREACHABLE: i32 = 18;

/// What was wrong.
#[repr(C)]
pub struct mullama_error {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// The engine with the models that it has loaded.
#[repr(C)]
pub struct mullama_runtime {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A loaded model. It computes several requests together.
#[repr(C)]
pub struct mullama_model {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Embeddings of texts. No handle: they are memory that never changes and any threads may read.
#[repr(C)]
pub struct mullama_embeddings {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A file of documents that are found by late interaction.
#[repr(C)]
pub struct mullama_index {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// An answer while it is generated.
#[repr(C)]
pub struct mullama_stream {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Is told the loaded part of a model, from 0 to 1, on the thread that loads; just 1 if its weights
/// are loaded already. false gives the load up, which then ends with MULLAMA_ERR_CANCELLED.
pub type mullama_progress = Option<unsafe extern "C" fn(fraction: f32, user: *mut c_void) -> bool>;

/// Add what the model wants around a text, such as BOS.
pub const MULLAMA_ADD_SPECIAL: i32 = 1;
/// Texts of control tokens become those; not for texts of users.
pub const MULLAMA_PARSE_SPECIAL: i32 = 2;

/// The embedding of a text. The numbers belong to the embeddings and are valid until these are
/// freed. struct_size says which fields there are, as that of mullama_chunk does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mullama_embedding {
    /// sizeof(mullama_embedding), set by who makes the embedding.
    pub struct_size: usize,
    /// Rows times width numbers, one row after the other.
    pub values: *const f32,
    /// 1; with the pooling "none" as many as the text has tokens.
    pub rows: usize,
    /// Numbers of a row, whose length is 1 unless normalize is false.
    pub width: usize,
    /// Of the text, with those that the model adds, that were embedded.
    pub tokens: usize,
    /// The text was too long, and its end was left out.
    pub truncated: bool,
}

/// A part of an answer. The texts belong to the stream and are valid until its next call.
/// struct_size says which fields there are: an older caller's chunk is filled as far as it goes,
/// and an older library leaves a newer caller's last fields as they are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mullama_chunk {
    /// sizeof(mullama_chunk), set by who makes the chunk.
    pub struct_size: usize,
    /// Whole characters of UTF-8.
    pub text: *const c_char,
    /// Bytes; may be 0.
    pub text_size: usize,
    /// What the model thinks before it answers, if it does.
    pub thinking: *const c_char,
    pub thinking_size: usize,
    /// That text and thinking are of.
    pub tokens: *const i32,
    pub token_count: usize,
    /// Of the last part: the last line of the daemon's answer, with done_reason, counts and times;
    /// else "" or {"logprobs": […]}.
    pub json: *const c_char,
    pub json_size: usize,
    /// This is the last part.
    pub done: bool,
}

/// Is told each part on a thread of the library, one after the other, and at last the status
/// MULLAMA_END, or an error, which belongs to the library; chunk is NULL then. Nothing else happens
/// with this stream until it returns. false ends the answer.
pub type mullama_on_chunk = Option<
    unsafe extern "C" fn(
        chunk: *const mullama_chunk,
        status: mullama_status,
        error: *const mullama_error,
        user: *mut c_void,
    ) -> bool,
>;

/// The functions of a loaded library.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// MULLAMA_ABI_VERSION of the library. Compare before all else. Works in a forked child.
    pub mullama_abi_version: unsafe extern "C" fn() -> u32,
    /// The version of the library, such as "0.1.0". It is never freed.
    pub mullama_version: unsafe extern "C" fn() -> *const c_char,
    /// The name of a status, such as "context_full"; "unknown" for others. It is never freed.
    pub mullama_status_name: unsafe extern "C" fn(status: mullama_status) -> *const c_char,
    /// Does nothing, as every other function does it: what a call costs.
    pub mullama_noop: unsafe extern "C" fn(error: *mut *mut mullama_error) -> mullama_status,
    /// Frees a text that a function gave. NULL does nothing.
    pub mullama_string_free: unsafe extern "C" fn(text: *mut c_char),
    /// The status that came with the error; MULLAMA_OK for NULL.
    pub mullama_error_status: unsafe extern "C" fn(error: *const mullama_error) -> mullama_status,
    /// One sentence that says what was wrong, where, and what to do. Valid until the error is
    /// freed; "" for NULL.
    pub mullama_error_message: unsafe extern "C" fn(error: *const mullama_error) -> *const c_char,
    /// Frees an error. NULL does nothing.
    pub mullama_error_free: unsafe extern "C" fn(error: *mut mullama_error),
    /// Opens a runtime. The options, all of which may be left out:
    ///
    /// - `library_dir`: folder of the native engine (default: beside this library)
    /// - `models_dir`: folder of the model store, in Ollama's layout (default: none)
    /// - `url`: address of a daemon that is to do the work, such as "http://127.0.0.1:11434"; then
    ///   nothing is loaded into this process
    /// - `key`: API key of that daemon
    /// - `echo`: true: no engine. The model "echo" repeats what it is sent, for tests; the parts of
    ///   the model "clock" are the nanoseconds of the monotonic clock when they were made
    ///
    /// The caller closes the runtime.
    pub mullama_runtime_open: unsafe extern "C" fn(
        options: *const c_char,
        runtime: *mut *mut mullama_runtime,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Closes a runtime. Models that are still open stay usable until they are closed themselves.
    pub mullama_runtime_close: unsafe extern "C" fn(runtime: *mut mullama_runtime),
    /// What the runtime runs on, as a JSON object: version, engine, devices. The caller frees the
    /// text.
    pub mullama_runtime_info: unsafe extern "C" fn(
        runtime: *mut mullama_runtime,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// The models of the store, or of the daemon, as GET /api/tags tells them. The caller frees the
    /// text.
    pub mullama_runtime_models: unsafe extern "C" fn(
        runtime: *mut mullama_runtime,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Loads a model: a GGUF file by its path, which begins with / or ., or a model of the store or
    /// the daemon by its name. Loading the same again is cheap: weights are shared. Some of the
    /// options, all of which may be left out (docs/abi.md has all):
    ///
    /// - `ctx_size`: tokens that prompt and answer share (default: the model's, at most 4096)
    /// - `slots`: requests computed at once (default 4)
    /// - `threads`: CPU threads (default: the cores)
    /// - `gpu_layers`: layers on the GPU (default: all)
    /// - `vocab_only`: true: only the vocabulary and the chat template
    ///
    /// progress may be NULL. The caller closes the model.
    pub mullama_model_load: unsafe extern "C" fn(
        runtime: *mut mullama_runtime,
        name: *const c_char,
        options: *const c_char,
        progress: mullama_progress,
        user: *mut c_void,
        model: *mut *mut mullama_model,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Closes a model: its streams end.
    pub mullama_model_close: unsafe extern "C" fn(model: *mut mullama_model),
    /// What the model's file says of it, and what it is doing, as a JSON object. The caller frees
    /// the text.
    pub mullama_model_info: unsafe extern "C" fn(
        model: *mut mullama_model,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Makes tokens of a text of text_size bytes. At most capacity of them are written to tokens,
    /// which may be NULL if capacity is 0, and *count is how many there are. If that is more,
    /// MULLAMA_ERR_TOO_SMALL is returned. Room for as many tokens as there are bytes, and three,
    /// nearly always suffices. The text need not be UTF-8: what is not becomes tokens of its bytes
    /// where the vocabulary is like SentencePiece's, and those of U+FFFD with others and with a
    /// daemon.
    pub mullama_model_tokenize: unsafe extern "C" fn(
        model: *mut mullama_model,
        text: *const c_char,
        text_size: usize,
        flags: u32,
        tokens: *mut i32,
        capacity: usize,
        count: *mut usize,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Makes the text of tokens, in the same way. It has no zero byte at its end, and need not be
    /// UTF-8 when it begins or ends within a character.
    pub mullama_model_detokenize: unsafe extern "C" fn(
        model: *mut mullama_model,
        tokens: *const i32,
        count: usize,
        text: *mut c_char,
        capacity: usize,
        text_size: *mut usize,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// The prompt that a request of mullama_model_chat makes, as a JSON object with the field
    /// "prompt". The caller frees the text.
    pub mullama_model_render: unsafe extern "C" fn(
        model: *mut mullama_model,
        request: *const c_char,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Begin to answer a conversation, or to continue a text. The requests are those of POST
    /// /api/chat and POST /api/generate of docs/api.md: messages or prompt, and options, format,
    /// tools, think, logprobs and so on; model, stream and keep_alive are ignored. A prompt that
    /// does not fit is MULLAMA_ERR_CONTEXT_FULL unless the request has "truncate": true. Neither
    /// waits for the answer, but with a daemon until it begins. Answers asked for at the same time
    /// are computed together. The caller closes the stream.
    pub mullama_model_chat: unsafe extern "C" fn(
        model: *mut mullama_model,
        request: *const c_char,
        stream: *mut *mut mullama_stream,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Begin to answer a conversation, or to continue a text. The requests are those of POST
    /// /api/chat and POST /api/generate of docs/api.md: messages or prompt, and options, format,
    /// tools, think, logprobs and so on; model, stream and keep_alive are ignored. A prompt that
    /// does not fit is MULLAMA_ERR_CONTEXT_FULL unless the request has "truncate": true. Neither
    /// waits for the answer, but with a daemon until it begins. Answers asked for at the same time
    /// are computed together. The caller closes the stream.
    pub mullama_model_generate: unsafe extern "C" fn(
        model: *mut mullama_model,
        request: *const c_char,
        stream: *mut *mut mullama_stream,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Embeds texts. The request is that of POST /api/embed of docs/api.md: input, a text or a list
    /// of texts, which must not be empty, and pooling, normalize, dimensions, task, prefix and
    /// truncate; model and keep_alive are ignored. A text that is too long is
    /// MULLAMA_ERR_CONTEXT_FULL unless the request has "truncate": true. An error of this function
    /// is about the whole request. What is wrong with one of the texts mullama_embeddings_get
    /// tells, and the others have their embeddings; with a daemon it may be an error of the
    /// request. This waits for the result. Texts that several threads have embedded at the same
    /// time are computed together. The caller frees the embeddings with mullama_embeddings_free.
    pub mullama_model_embed: unsafe extern "C" fn(
        model: *mut mullama_model,
        request: *const c_char,
        embeddings: *mut *mut mullama_embeddings,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// How many embeddings there are: one for each text, in the order of the texts. 0 for NULL.
    pub mullama_embeddings_count:
        unsafe extern "C" fn(embeddings: *const mullama_embeddings) -> usize,
    /// Gives the embedding of the text with this number, counted from 0, or the error of that text.
    pub mullama_embeddings_get: unsafe extern "C" fn(
        embeddings: *const mullama_embeddings,
        index: usize,
        embedding: *mut mullama_embedding,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Frees embeddings with their numbers. NULL does nothing.
    pub mullama_embeddings_free: unsafe extern "C" fn(embeddings: *mut mullama_embeddings),
    /// Say how well documents answer a query: rerank by the head of a model that ranks, or by
    /// asking a model that chats; score by late interaction, which compares the vectors of tokens.
    /// The requests are those of POST /v1/rerank and POST /v1/score of docs/api.md: query,
    /// documents, top_n and so on. The result is their answer, a JSON object: results, the best
    /// first, each with the index of a document and its relevance_score; method; and the tokens of
    /// usage. What is wrong with one document is an error of the request. Both wait for the result.
    /// The caller frees the text.
    pub mullama_model_rerank: unsafe extern "C" fn(
        model: *mut mullama_model,
        request: *const c_char,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Say how well documents answer a query: rerank by the head of a model that ranks, or by
    /// asking a model that chats; score by late interaction, which compares the vectors of tokens.
    /// The requests are those of POST /v1/rerank and POST /v1/score of docs/api.md: query,
    /// documents, top_n and so on. The result is their answer, a JSON object: results, the best
    /// first, each with the index of a document and its relevance_score; method; and the tokens of
    /// usage. What is wrong with one document is an error of the request. Both wait for the result.
    /// The caller frees the text.
    pub mullama_model_score: unsafe extern "C" fn(
        model: *mut mullama_model,
        request: *const c_char,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Opens an index, or makes an empty one if there is no file at path. The file is on this
    /// machine, whoever computes: a runtime of a daemon opens it here, too. model, which may be
    /// NULL, embeds what is added and searched as text; it stays the caller's, and must be open
    /// then. The options, all of which may be left out:
    ///
    /// - `dimensions`: numbers of a vector (default: the model's, or those of the index that is
    ///   there)
    /// - `vectors`: how a new index keeps them: f32, f16 or int8 (default f16)
    /// - `in_memory`: true: read the file into memory instead of mapping it
    /// - `threads`: threads of a search (default: the cores)
    /// - `device`: name of a device that searches, such as CUDA0, whose memory then holds the
    ///   documents (default: none)
    ///
    /// An index that is there and has vectors of another length, or of another model, is
    /// MULLAMA_ERR_INVALID; a damaged one MULLAMA_ERR_STORE; one too large for the device
    /// MULLAMA_ERR_OUT_OF_MEMORY. The caller closes the index.
    pub mullama_index_open: unsafe extern "C" fn(
        runtime: *mut mullama_runtime,
        path: *const c_char,
        model: *mut mullama_model,
        options: *const c_char,
        index: *mut *mut mullama_index,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Closes an index, after the calls under way. What was added stays in the file.
    pub mullama_index_close: unsafe extern "C" fn(index: *mut mullama_index),
    /// What is in the index, as a JSON object: model, dimensions, vectors, documents, tokens,
    /// bytes, groups and grouped_documents. The caller frees the text.
    pub mullama_index_info: unsafe extern "C" fn(
        index: *mut mullama_index,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Adds documents, all or none: the request of POST /v1/indexes/{index}/documents of
    /// docs/api.md, whose documents have an id and a text, or an id and the vectors of its tokens.
    /// They are in the file when this returns.
    pub mullama_index_add: unsafe extern "C" fn(
        index: *mut mullama_index,
        request: *const c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Groups similar tokens of all documents, for searches with "probe". The options, which may be
    /// NULL: groups, how many there are to be (default: as many as suit the index).
    pub mullama_index_train: unsafe extern "C" fn(
        index: *mut mullama_index,
        options: *const c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Searches the index: the request of POST /v1/indexes/{index}/search, with a query or the
    /// vectors of its tokens, and top_n, probe and candidates. The result is its answer, a JSON
    /// object: results, the best first, each with id and score. The caller frees the text.
    pub mullama_index_search: unsafe extern "C" fn(
        index: *mut mullama_index,
        request: *const c_char,
        json: *mut *mut c_char,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Reads the whole file and compares its checksums: MULLAMA_ERR_STORE if it is damaged. A
    /// search does so for what it reads for the first time.
    pub mullama_index_verify: unsafe extern "C" fn(
        index: *mut mullama_index,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Waits for the next part. MULLAMA_END after the last one.
    pub mullama_stream_next: unsafe extern "C" fn(
        stream: *mut mullama_stream,
        chunk: *mut mullama_chunk,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Has the parts told to a function instead of reading them. Until the function is told the
    /// end, reading the stream, or another function for it, is MULLAMA_ERR_INVALID.
    pub mullama_stream_deliver: unsafe extern "C" fn(
        stream: *mut mullama_stream,
        on_chunk: mullama_on_chunk,
        user: *mut c_void,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Ends an answer, from any thread. Its last part comes soon, with done_reason "cancelled".
    pub mullama_stream_cancel: unsafe extern "C" fn(
        stream: *mut mullama_stream,
        error: *mut *mut mullama_error,
    ) -> mullama_status,
    /// Ends an answer, if it has not ended, and frees the stream with the texts of its last chunk.
    /// A call that waits for a part returns soon.
    pub mullama_stream_close: unsafe extern "C" fn(stream: *mut mullama_stream),
}

impl Functions {
    /// Finds the functions in a library. The error says which is missing.
    ///
    /// # Safety
    ///
    /// The library has to be one of this header, and has to stay loaded while a
    /// function of it can be called.
    pub unsafe fn load(library: &libloading::Library) -> Result<Self, libloading::Error> {
        Ok(Self {
            mullama_abi_version: *library.get(c"mullama_abi_version")?,
            mullama_version: *library.get(c"mullama_version")?,
            mullama_status_name: *library.get(c"mullama_status_name")?,
            mullama_noop: *library.get(c"mullama_noop")?,
            mullama_string_free: *library.get(c"mullama_string_free")?,
            mullama_error_status: *library.get(c"mullama_error_status")?,
            mullama_error_message: *library.get(c"mullama_error_message")?,
            mullama_error_free: *library.get(c"mullama_error_free")?,
            mullama_runtime_open: *library.get(c"mullama_runtime_open")?,
            mullama_runtime_close: *library.get(c"mullama_runtime_close")?,
            mullama_runtime_info: *library.get(c"mullama_runtime_info")?,
            mullama_runtime_models: *library.get(c"mullama_runtime_models")?,
            mullama_model_load: *library.get(c"mullama_model_load")?,
            mullama_model_close: *library.get(c"mullama_model_close")?,
            mullama_model_info: *library.get(c"mullama_model_info")?,
            mullama_model_tokenize: *library.get(c"mullama_model_tokenize")?,
            mullama_model_detokenize: *library.get(c"mullama_model_detokenize")?,
            mullama_model_render: *library.get(c"mullama_model_render")?,
            mullama_model_chat: *library.get(c"mullama_model_chat")?,
            mullama_model_generate: *library.get(c"mullama_model_generate")?,
            mullama_model_embed: *library.get(c"mullama_model_embed")?,
            mullama_embeddings_count: *library.get(c"mullama_embeddings_count")?,
            mullama_embeddings_get: *library.get(c"mullama_embeddings_get")?,
            mullama_embeddings_free: *library.get(c"mullama_embeddings_free")?,
            mullama_model_rerank: *library.get(c"mullama_model_rerank")?,
            mullama_model_score: *library.get(c"mullama_model_score")?,
            mullama_index_open: *library.get(c"mullama_index_open")?,
            mullama_index_close: *library.get(c"mullama_index_close")?,
            mullama_index_info: *library.get(c"mullama_index_info")?,
            mullama_index_add: *library.get(c"mullama_index_add")?,
            mullama_index_train: *library.get(c"mullama_index_train")?,
            mullama_index_search: *library.get(c"mullama_index_search")?,
            mullama_index_verify: *library.get(c"mullama_index_verify")?,
            mullama_stream_next: *library.get(c"mullama_stream_next")?,
            mullama_stream_deliver: *library.get(c"mullama_stream_deliver")?,
            mullama_stream_cancel: *library.get(c"mullama_stream_cancel")?,
            mullama_stream_close: *library.get(c"mullama_stream_close")?,
        })
    }
}
