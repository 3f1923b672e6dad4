use crate::error::{call, call_for_json};
use crate::{request, Error, ErrorKind, Model, Result};
use mullama_sys as sys;
use serde::Serialize;
use serde_json::{json, Value};
use std::sync::Arc;

/// A file of documents that are found by late interaction, which [`Runtime::open_index`] opens. It
/// may be used from several threads at once. A clone is the same index, which is closed when the
/// last one is dropped.
///
/// [`Runtime::open_index`]: crate::Runtime::open_index
#[derive(Clone, Debug)]
pub struct Index {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    library: &'static sys::Library,
    raw: *mut sys::mullama_index,
    _model: Option<Model>, // open as long as the index
}

// SAFETY: a handle may be used from any thread, and from several at once.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: any handle may be closed, a closed one too.
        unsafe { (self.library.mullama_index_close)(self.raw) }
    }
}

/// A document that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The id that the document was added with.
    pub id: String,
    /// More is better.
    pub score: f64,
}

/// Takes a handle over.
pub(crate) fn new(
    library: &'static sys::Library,
    raw: *mut sys::mullama_index,
    model: Option<&Model>,
) -> Index {
    Index { inner: Arc::new(Inner { library, raw, _model: model.cloned() }) }
}

impl Index {
    /// What is in the index: model, dimensions, vectors, documents, tokens, bytes, groups.
    pub fn info(&self) -> Result<Value> {
        let Inner { library, raw, .. } = *self.inner;
        // SAFETY: the closure gets places for the results.
        call_for_json(library, |json, e| unsafe { (library.mullama_index_info)(raw, json, e) })
    }

    /// Adds documents, all or none. Each has an `id` that no other has, and a `text` for the model
    /// of the index to embed, or the `vectors` of its tokens. They are in the file when this
    /// returns.
    pub fn add(&self, documents: impl Serialize) -> Result<()> {
        let Inner { library, raw, .. } = *self.inner;
        let documents = request::value(documents)?;
        let request = request::json(json!({ "documents": documents }))?;
        // SAFETY: the request is a text.
        call(library, |e| unsafe { (library.mullama_index_add)(raw, request.as_ptr(), e) })?;
        Ok(())
    }

    /// Groups similar tokens of all documents, for searches with `probe`. `groups` is how many
    /// there are to be; 0: as many as suit the index.
    pub fn train(&self, groups: usize) -> Result<()> {
        let Inner { library, raw, .. } = *self.inner;
        let options = request::json(json!({ "groups": groups }))?;
        // SAFETY: the options are a text.
        call(library, |e| unsafe { (library.mullama_index_train)(raw, options.as_ptr(), e) })?;
        Ok(())
    }

    /// Finds the ten documents that score best, the best first: by a text for the model of the
    /// index to embed, or a request of `POST /v1/indexes/{index}/search`.
    pub fn search(&self, query: impl Serialize) -> Result<Vec<Found>> {
        self.search_with(query, ())
    }

    /// Finds documents. The fields of `more`, such as `top_n`, `probe` and `candidates`, are added
    /// to the request.
    pub fn search_with(&self, query: impl Serialize, more: impl Serialize) -> Result<Vec<Found>> {
        let Inner { library, raw, .. } = *self.inner;
        let request = request::request(query, "query", more)?;
        // SAFETY: the request is a text, and the closure gets places for the results.
        let answer = call_for_json(library, |json, e| unsafe {
            (library.mullama_index_search)(raw, request.as_ptr(), json, e)
        })?;
        let found = |hit: &Value| {
            Some(Found { id: hit["id"].as_str()?.to_string(), score: hit["score"].as_f64()? })
        };
        let results = answer["results"].as_array();
        results
            .and_then(|list| list.iter().map(found).collect())
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the library's answer has no documents"))
    }

    /// Reads the whole file. A damaged one is [`ErrorKind::Store`].
    pub fn verify(&self) -> Result<()> {
        let Inner { library, raw, .. } = *self.inner;
        // SAFETY: the closure gets a place for the error.
        call(library, |e| unsafe { (library.mullama_index_verify)(raw, e) })?;
        Ok(())
    }

    /// Closes the index now, after the calls under way, and with it all clones. Doing it again does
    /// nothing.
    pub fn close(&self) {
        // SAFETY: any handle may be closed, a closed one too.
        unsafe { (self.inner.library.mullama_index_close)(self.inner.raw) }
    }
}
