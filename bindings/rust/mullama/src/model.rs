use crate::embed::Embeddings;
use crate::error::{call, call_for_json};
use crate::{request, stream, Embedding, Error, ErrorKind, Ranking, Result, Stream};
use mullama_sys as sys;
use serde::Serialize;
use serde_json::{json, Value};
use std::ffi::{c_char, CString};
use std::ptr::null_mut;
use std::sync::Arc;

/// A loaded model. It computes several requests together. A clone is the same model, which is
/// closed when the last one and its streams are dropped.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    library: &'static sys::Library,
    raw: *mut sys::mullama_model,
}

// SAFETY: a handle may be used from any thread, and from several at once.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: any handle may be closed, a closed one too.
        unsafe { (self.library.mullama_model_close)(self.raw) }
    }
}

/// Takes a handle over.
pub(crate) fn new(library: &'static sys::Library, raw: *mut sys::mullama_model) -> Model {
    Model { inner: Arc::new(Inner { library, raw }) }
}

/// How texts become tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenizeOptions {
    /// Add what the model wants around a text, such as BOS.
    pub add_special: bool,
    /// Texts of control tokens become those. Not for texts of users.
    pub parse_special: bool,
}

type Begin = unsafe extern "C" fn(
    *mut sys::mullama_model,
    *const c_char,
    *mut *mut sys::mullama_stream,
    *mut *mut sys::mullama_error,
) -> sys::mullama_status;

type Rank = unsafe extern "C" fn(
    *mut sys::mullama_model,
    *const c_char,
    *mut *mut c_char,
    *mut *mut sys::mullama_error,
) -> sys::mullama_status;

impl Model {
    /// The handle, which stays the model's.
    pub(crate) fn raw(&self) -> *mut sys::mullama_model {
        self.inner.raw
    }

    /// What the model's file says of it, and what it is doing.
    pub fn info(&self) -> Result<Value> {
        let Inner { library, raw } = *self.inner;
        // SAFETY: the closure gets places for the results.
        call_for_json(library, |json, e| unsafe { (library.mullama_model_info)(raw, json, e) })
    }

    /// Makes tokens of a text, without special ones.
    pub fn tokenize(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.tokenize_with(text, TokenizeOptions::default())
    }

    /// Makes tokens of a text.
    pub fn tokenize_with(
        &self,
        text: impl AsRef<[u8]>,
        options: TokenizeOptions,
    ) -> Result<Vec<i32>> {
        let Inner { library, raw } = *self.inner;
        let (data, size) = (text.as_ref().as_ptr().cast(), text.as_ref().len());
        let add = if options.add_special { sys::MULLAMA_ADD_SPECIAL as u32 } else { 0 };
        let parse = if options.parse_special { sys::MULLAMA_PARSE_SPECIAL as u32 } else { 0 };
        // SAFETY: data has size bytes, and tokens room for capacity tokens.
        fill(library, size + 2, |tokens, capacity, count, e| unsafe {
            let flags = add | parse;
            (library.mullama_model_tokenize)(raw, data, size, flags, tokens, capacity, count, e)
        })
    }

    /// Makes the text of tokens. It need not be UTF-8 when it begins or ends within a character.
    pub fn detokenize(&self, tokens: &[i32]) -> Result<Vec<u8>> {
        let Inner { library, raw } = *self.inner;
        let (data, count) = (tokens.as_ptr(), tokens.len());
        // SAFETY: data has count tokens, and text room for capacity bytes.
        fill(library, 16 + 8 * count, |text: *mut u8, capacity, size, e| unsafe {
            let text = text.cast();
            (library.mullama_model_detokenize)(raw, data, count, text, capacity, size, e)
        })
    }

    /// Makes the text of tokens that are whole characters; else it is [`ErrorKind::Invalid`].
    pub fn detokenize_text(&self, tokens: &[i32]) -> Result<String> {
        String::from_utf8(self.detokenize(tokens)?)
            .map_err(|e| Error::invalid(format!("the text of the tokens is no UTF-8: {e}")))
    }

    /// The prompt that a request of [`Model::chat`] makes.
    pub fn render(&self, request: impl Serialize) -> Result<String> {
        let Inner { library, raw } = *self.inner;
        let request = request::request(request, "messages", ())?;
        // SAFETY: the request is a text, and the closure gets places for the results.
        let json = call_for_json(library, |json, e| unsafe {
            (library.mullama_model_render)(raw, request.as_ptr(), json, e)
        })?;
        match &json["prompt"] {
            Value::String(prompt) => Ok(prompt.clone()),
            _ => Err(Error::new(ErrorKind::Internal, "a rendered request has no prompt")),
        }
    }

    /// Begins to answer a conversation: a list of messages, or a request of `POST /api/chat`.
    pub fn chat(&self, request: impl Serialize) -> Result<Stream> {
        self.chat_with(request, ())
    }

    /// Begins to answer a conversation. The fields of `more`, such as `options`, `format` and
    /// `tools`, are added to the request.
    pub fn chat_with(&self, request: impl Serialize, more: impl Serialize) -> Result<Stream> {
        let request = request::request(request, "messages", more)?;
        self.begin(self.inner.library.mullama_model_chat, &request)
    }

    /// Begins to continue a text: a prompt, or a request of `POST /api/generate`.
    pub fn generate(&self, request: impl Serialize) -> Result<Stream> {
        self.generate_with(request, ())
    }

    /// Begins to continue a text. The fields of `more` are added to the request.
    pub fn generate_with(&self, request: impl Serialize, more: impl Serialize) -> Result<Stream> {
        let request = request::request(request, "prompt", more)?;
        self.begin(self.inner.library.mullama_model_generate, &request)
    }

    fn begin(&self, function: Begin, request: &CString) -> Result<Stream> {
        let Inner { library, raw } = *self.inner;
        let mut answer = null_mut();
        // SAFETY: the request is a text, and answer is a place for the handle.
        call(library, |e| unsafe { function(raw, request.as_ptr(), &mut answer, e) })?;
        Ok(stream::new(self.clone(), library, answer))
    }

    /// Embeds a text, a list of texts, or a request of `POST /api/embed`. Each text has its
    /// embedding or its own error, in the order of the texts. It waits for all of them.
    pub fn embed(&self, input: impl Serialize) -> Result<Vec<Result<Embedding>>> {
        self.embed_with(input, ())
    }

    /// Embeds texts. The fields of `more`, such as `pooling`, `dimensions`, `normalize`, `task`,
    /// `prefix` and `truncate`, are added to the request.
    pub fn embed_with(
        &self,
        input: impl Serialize,
        more: impl Serialize,
    ) -> Result<Vec<Result<Embedding>>> {
        let Inner { library, raw } = *self.inner;
        let request = request::request(input, "input", more)?;
        let mut made = Embeddings { library, raw: null_mut() };
        // SAFETY: the request is a text, and made.raw is a place for the embeddings.
        call(library, |e| unsafe {
            (library.mullama_model_embed)(raw, request.as_ptr(), &mut made.raw, e)
        })?;
        Ok(made.list())
    }

    /// Says how well documents answer a query, by the head of a model that ranks, or by asking a
    /// model that chats. It waits for the scores.
    pub fn rerank(&self, query: &str, documents: impl Serialize) -> Result<Ranking> {
        self.rerank_with(query, documents, ())
    }

    /// Ranks documents. The fields of `more`, such as `top_n`, `raw_scores` and `instruction`, are
    /// added to the request, which is that of `POST /v1/rerank`.
    pub fn rerank_with(
        &self,
        query: &str,
        documents: impl Serialize,
        more: impl Serialize,
    ) -> Result<Ranking> {
        self.rank(self.inner.library.mullama_model_rerank, query, documents, more)
    }

    /// Says how well documents answer a query by late interaction, which compares the vectors of
    /// their tokens.
    pub fn score(&self, query: &str, documents: impl Serialize) -> Result<Ranking> {
        self.score_with(query, documents, ())
    }

    /// Scores documents. The fields of `more`, such as `top_n`, are added to the request, which is
    /// that of `POST /v1/score`.
    pub fn score_with(
        &self,
        query: &str,
        documents: impl Serialize,
        more: impl Serialize,
    ) -> Result<Ranking> {
        self.rank(self.inner.library.mullama_model_score, query, documents, more)
    }

    fn rank(
        &self,
        function: Rank,
        query: &str,
        documents: impl Serialize,
        more: impl Serialize,
    ) -> Result<Ranking> {
        let Inner { library, raw } = *self.inner;
        let documents = request::value(documents)?;
        let request =
            request::request(json!({"query": query, "documents": documents}), "query", more)?;
        // SAFETY: the request is a text, and the closure gets places for the results.
        let answer =
            call_for_json(library, |json, e| unsafe { function(raw, request.as_ptr(), json, e) })?;
        Ranking::of(answer)
    }

    /// Closes the model now, and with it all clones. Its streams end. Doing it again does nothing.
    pub fn close(&self) {
        // SAFETY: any handle may be closed, a closed one too.
        unsafe { (self.inner.library.mullama_model_close)(self.inner.raw) }
    }
}

/// Calls a function that fills a buffer, with a larger one if the first is too small.
fn fill<T, F>(library: &sys::Library, capacity: usize, function: F) -> Result<Vec<T>>
where
    T: Copy + Default,
    F: Fn(*mut T, usize, *mut usize, *mut *mut sys::mullama_error) -> sys::mullama_status,
{
    let mut buffer = vec![T::default(); capacity];
    loop {
        let mut count = 0;
        let result = call(library, |e| function(buffer.as_mut_ptr(), buffer.len(), &mut count, e));
        match result {
            Err(e) if e.kind() == ErrorKind::TooSmall && count > buffer.len() => {
                buffer.resize(count, T::default());
            }
            Err(e) => return Err(e),
            Ok(_) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
        }
    }
}
