use crate::error::call;
use crate::{Answer, AsyncStream, Chunk, Model, Result};
use mullama_sys as sys;
use std::mem::MaybeUninit;

/// An answer while it is generated: an iterator of its parts. Dropping it ends the answer.
#[derive(Debug)]
pub struct Stream {
    handle: Canceller,
    model: Model, // which is not closed before its answers are over
    over: bool,
    given_away: bool, // another closes the handle
}

/// Cancels an answer, from any thread.
#[derive(Clone, Debug)]
pub struct Canceller {
    pub(crate) library: &'static sys::Library,
    pub(crate) raw: *mut sys::mullama_stream,
}

// SAFETY: a handle may be used from any thread, and from several at once. Reading is for one at a
// time, which Stream::next makes sure of by taking &mut self.
unsafe impl Send for Canceller {}
// SAFETY: as above.
unsafe impl Sync for Canceller {}

impl Canceller {
    /// Ends the answer. Its last part comes soon, with the `done_reason` `cancelled`. The error of
    /// a stream that was dropped is [`Closed`](crate::ErrorKind::Closed).
    pub fn cancel(&self) -> Result<()> {
        // SAFETY: handles are used once, so this one means its stream or nothing.
        call(self.library, |e| unsafe { (self.library.mullama_stream_cancel)(self.raw, e) })?;
        Ok(())
    }

    pub(crate) fn close(&self) {
        // SAFETY: any handle may be closed, a closed one too. Nobody reads the stream now: closing
        // takes the stream, or comes after the last part.
        unsafe { (self.library.mullama_stream_close)(self.raw) }
    }
}

/// Takes a handle over.
pub(crate) fn new(
    model: Model,
    library: &'static sys::Library,
    raw: *mut sys::mullama_stream,
) -> Stream {
    Stream { handle: Canceller { library, raw }, model, over: false, given_away: false }
}

impl Stream {
    /// Ends the answer. Its last part comes soon, with the `done_reason` `cancelled`.
    pub fn cancel(&self) -> Result<()> {
        self.handle.cancel()
    }

    /// What cancels this answer while another thread reads it.
    pub fn canceller(&self) -> Canceller {
        self.handle.clone()
    }

    /// Waits for the rest of the answer.
    pub fn answer(self) -> Result<Answer> {
        let mut answer = Answer::default();
        for chunk in self {
            answer.add(chunk?);
        }
        Ok(answer)
    }

    /// Waits for the rest of the answer's text.
    pub fn text(self) -> Result<String> {
        Ok(self.answer()?.text)
    }

    /// Ends the answer and frees what it holds, as dropping it does.
    pub fn close(self) {}

    /// Has the parts come without waiting: as a [`futures_core::Stream`]. No thread is kept for it.
    pub fn into_async(mut self) -> Result<AsyncStream> {
        self.given_away = true;
        AsyncStream::deliver(self.handle.clone(), self.model.clone())
    }

    /// Waits for the next part; `None` is the end.
    fn read(&mut self) -> Result<Option<Chunk>> {
        let Canceller { library, raw } = self.handle;
        // SAFETY: NULL, 0 and false are values of all its fields.
        let mut chunk: sys::mullama_chunk = unsafe { MaybeUninit::zeroed().assume_init() };
        chunk.struct_size = size_of_val(&chunk);
        // SAFETY: the chunk has its size, and this thread is the only one that reads.
        if !call(library, |e| unsafe { (library.mullama_stream_next)(raw, &mut chunk, e) })? {
            return Ok(None);
        }
        // SAFETY: the texts are valid until the next call.
        unsafe { Chunk::copy(&chunk) }.map(Some)
    }
}

/// After the end, and after an error, there is nothing more.
impl Iterator for Stream {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Result<Chunk>> {
        if self.over {
            return None;
        }
        let next = self.read().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.over = true;
        }
        next
    }
}

impl std::iter::FusedIterator for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.given_away {
            self.handle.close();
        }
    }
}
