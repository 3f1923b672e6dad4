//! Language models in your process, on llama.cpp.
//!
//! ```no_run
//! use mullama::{Message, Runtime, RuntimeOptions};
//!
//! # fn main() -> mullama::Result<()> {
//! let runtime = Runtime::open(&RuntimeOptions::default())?;
//! let model = runtime.load("/models/smollm2.gguf", ())?;
//! for chunk in model.chat([Message::user("What is the capital of France?")])? {
//!     print!("{}", chunk?.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Runtime`] has the engine, a [`Model`] is loaded with it, and a [`Stream`] is an answer while
//! it is generated. What is dropped is closed; a stream that is dropped ends its answer. All three
//! may be used from any thread, and requests that run at the same time are computed together.
//!
//! Requests and options are anything that serde serializes to the JSON of the HTTP API, such as
//! [`serde_json::json!`]. They are passed on as they are.
//!
//! The library `libmullama` is loaded when the first runtime is opened. It has threads, so a
//! process that forks has to open its runtimes in the child; those of the parent fail there with
//! [`ErrorKind::Forked`].

mod answer;
mod async_stream;
mod embed;
mod error;
mod index;
mod model;
mod request;
mod runtime;
mod stream;

pub use answer::{Answer, Chunk};
pub use async_stream::AsyncStream;
pub use embed::{Embedding, Ranking, Score};
pub use error::{Error, ErrorKind, Result};
pub use index::{Found, Index};
pub use model::{Model, TokenizeOptions};
pub use request::Message;
pub use runtime::{Runtime, RuntimeOptions};
pub use stream::{Canceller, Stream};

/// Has the examples of the README compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
