use crate::error::parse;
use crate::Result;
use mullama_sys as sys;
use serde_json::Value;
use std::slice;

/// A part of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// Whole characters; may be empty.
    pub text: String,
    /// What the model thinks before it answers, if it does.
    pub thinking: String,
    /// The tokens of text and thinking.
    pub tokens: Vec<i32>,
    /// Whether this is the last part.
    pub done: bool,
    /// Of the last part: the last line of the daemon's answer, with `done_reason`, counts and
    /// times. Of others: an object with `logprobs` if they were asked for, else null.
    pub json: Value,
}

impl Chunk {
    /// The probabilities of the tokens, if the request asked for them.
    pub fn logprobs(&self) -> Option<&Value> {
        self.json.get("logprobs")
    }

    /// Copies a chunk of the library.
    ///
    /// # Safety
    ///
    /// Its texts are valid.
    pub(crate) unsafe fn copy(raw: &sys::mullama_chunk) -> Result<Chunk> {
        // SAFETY: each pointer goes with its size, by the contract of this function.
        let (text, thinking, tokens, json) = unsafe {
            (
                view(raw.text.cast(), raw.text_size),
                view(raw.thinking.cast(), raw.thinking_size),
                view(raw.tokens, raw.token_count),
                view(raw.json.cast(), raw.json_size),
            )
        };
        Ok(Chunk {
            text: String::from_utf8_lossy(text).into_owned(),
            thinking: String::from_utf8_lossy(thinking).into_owned(),
            tokens: tokens.to_vec(),
            done: raw.done,
            json: if json.is_empty() { Value::Null } else { parse(json)? },
        })
    }
}

/// # Safety
///
/// `data` has `size` elements, or `size` is 0.
unsafe fn view<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        return &[]; // data may be NULL
    }
    // SAFETY: by the contract of this function.
    unsafe { slice::from_raw_parts(data, size) }
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// All text.
    pub text: String,
    /// All that the model thought before it answered.
    pub thinking: String,
    /// Why it ended: `stop`, `length`, `cancelled`, …
    pub done_reason: String,
    /// How many tokens the prompt has.
    pub prompt_eval_count: u64,
    /// How many tokens were generated.
    pub eval_count: u64,
    /// How many tokens of the prompt had been computed before.
    pub cached_tokens: u64,
    /// The last line of the daemon's answer, with these counts, times and tool calls.
    pub last: Value,
}

impl Answer {
    /// Adds a part.
    pub(crate) fn add(&mut self, chunk: Chunk) {
        self.text += &chunk.text;
        self.thinking += &chunk.thinking;
        if !chunk.done {
            return;
        }
        let count = |name: &str| chunk.json[name].as_u64().unwrap_or(0);
        self.prompt_eval_count = count("prompt_eval_count");
        self.eval_count = count("eval_count");
        self.cached_tokens = count("cached_tokens");
        self.done_reason = chunk.json["done_reason"].as_str().unwrap_or_default().to_string();
        self.last = chunk.json;
    }
}
