use crate::error::call;
use crate::{Error, ErrorKind, Result};
use mullama_sys as sys;
use serde_json::Value;
use std::mem::MaybeUninit;
use std::slice;

/// The embedding of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedding {
    /// One row of numbers; with the pooling `none` one for each token.
    pub rows: Vec<Vec<f32>>,
    /// How many tokens of the text were embedded.
    pub tokens: usize,
    /// Whether the text was too long, and its end was left out.
    pub truncated: bool,
}

impl Embedding {
    /// The row of a text that was pooled.
    pub fn vector(&self) -> &[f32] {
        self.rows.first().map_or(&[], Vec::as_slice)
    }

    /// Takes the row of a text that was pooled.
    pub fn into_vector(self) -> Vec<f32> {
        self.rows.into_iter().next().unwrap_or_default()
    }
}

/// How well a document answers a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The number of the document.
    pub index: usize,
    /// More is better.
    pub score: f64,
}

/// The scores of documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// The documents that were asked for, the best first.
    pub results: Vec<Score>,
    /// How they were ranked: `head`, `judge` or `tokens`.
    pub method: String,
    /// How many tokens were computed.
    pub tokens: u64,
    /// The whole answer of `POST /v1/rerank`.
    pub json: Value,
}

impl Ranking {
    pub(crate) fn of(json: Value) -> Result<Ranking> {
        let broken = || Error::new(ErrorKind::Internal, "the library's answer has no scores");
        let score = |result: &Value| {
            let index = result["index"].as_u64().and_then(|i| usize::try_from(i).ok());
            Some(Score { index: index?, score: result["relevance_score"].as_f64()? })
        };
        let results = json["results"].as_array().ok_or_else(broken)?;
        Ok(Ranking {
            results: results.iter().map(score).collect::<Option<_>>().ok_or_else(broken)?,
            method: json["method"].as_str().unwrap_or_default().to_string(),
            tokens: json["usage"]["prompt_tokens"].as_u64().unwrap_or_default(),
            json,
        })
    }
}

/// Embeddings of the library, which are freed when they are dropped.
pub(crate) struct Embeddings {
    pub(crate) library: &'static sys::Library,
    pub(crate) raw: *mut sys::mullama_embeddings,
}

impl Embeddings {
    /// Copies them.
    pub(crate) fn list(&self) -> Vec<Result<Embedding>> {
        // SAFETY: raw is what the library gave, or NULL.
        let count = unsafe { (self.library.mullama_embeddings_count)(self.raw) };
        (0..count).map(|index| self.get(index)).collect()
    }

    fn get(&self, index: usize) -> Result<Embedding> {
        let Embeddings { library, raw } = *self;
        // SAFETY: NULL, 0 and false are values of all its fields.
        let mut made: sys::mullama_embedding = unsafe { MaybeUninit::zeroed().assume_init() };
        made.struct_size = size_of_val(&made);
        // SAFETY: made has its size, and raw is what the library gave.
        call(library, |e| unsafe { (library.mullama_embeddings_get)(raw, index, &mut made, e) })?;
        // SAFETY: the call succeeded, so there are rows of width numbers, until raw is freed.
        let values = unsafe { slice::from_raw_parts(made.values, made.rows * made.width) };
        Ok(Embedding {
            rows: values.chunks_exact(made.width).map(<[f32]>::to_vec).collect(),
            tokens: made.tokens,
            truncated: made.truncated,
        })
    }
}

impl Drop for Embeddings {
    fn drop(&mut self) {
        // SAFETY: it is freed once, here.
        unsafe { (self.library.mullama_embeddings_free)(self.raw) }
    }
}
