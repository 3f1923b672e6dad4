use crate::error::call;
use crate::{Answer, Canceller, Chunk, Error, ErrorKind, Model, Result};
use futures_core::Stream;
use mullama_sys as sys;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::future::poll_fn;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// An answer whose parts come without waiting: a [`futures_core::Stream`] for any executor. Parts
/// that nobody has taken yet are kept. Dropping it ends the answer.
#[derive(Debug)]
pub struct AsyncStream {
    shared: Arc<Shared>,
    _model: Model, // which is not closed before its answers are over
}

/// What the stream and the library's deliveries share.
#[derive(Debug)]
struct Shared {
    handle: Canceller,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    parts: VecDeque<Result<Chunk>>,
    over: bool,    // nothing is added to parts
    dropped: bool, // nobody takes parts
    waker: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Adds a part, or the end with its error, and wakes who waits. Returns whether more is wanted.
    fn put(&self, part: Option<Result<Chunk>>, over: bool) -> bool {
        let mut state = self.lock();
        state.over = over;
        if !state.dropped {
            state.parts.extend(part);
        }
        let (waker, wanted) = (state.waker.take(), !state.dropped);
        drop(state); // a waker may do anything, such as taking the part
        if let Some(waker) = waker {
            waker.wake();
        }
        wanted
    }
}

impl AsyncStream {
    /// Takes the handle over, and has its parts delivered.
    pub(crate) fn deliver(handle: Canceller, model: Model) -> Result<AsyncStream> {
        let library = handle.library;
        let state = Mutex::default();
        let shared = Arc::new(Shared { handle: handle.clone(), state });
        let user = Arc::into_raw(shared.clone()).cast_mut().cast();
        // SAFETY: user is a reference of the library's own, which the last delivery takes back.
        let begun = call(library, |e| unsafe {
            (library.mullama_stream_deliver)(handle.raw, Some(receive), user, e)
        });
        if let Err(e) = begun {
            // SAFETY: there will be no delivery, so the reference is ours again.
            drop(unsafe { Arc::from_raw(user.cast::<Shared>()) });
            handle.close();
            return Err(e);
        }
        Ok(AsyncStream { shared, _model: model })
    }

    /// Ends the answer. Its last part comes soon, with the `done_reason` `cancelled`.
    pub fn cancel(&self) -> Result<()> {
        match self.shared.handle.cancel() {
            Err(e) if e.kind() == ErrorKind::Closed => Ok(()), // the last delivery closed it
            result => result,
        }
    }

    /// The next part; `None` after the last one.
    pub async fn next(&mut self) -> Option<Result<Chunk>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The rest of the answer.
    pub async fn answer(mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        while let Some(chunk) = self.next().await {
            answer.add(chunk?);
        }
        Ok(answer)
    }

    /// The rest of the answer's text.
    pub async fn text(self) -> Result<String> {
        Ok(self.answer().await?.text)
    }
}

impl Stream for AsyncStream {
    type Item = Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk>>> {
        let mut state = self.shared.lock();
        match state.parts.pop_front() {
            Some(part) => Poll::Ready(Some(part)),
            None if state.over => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The answer is cancelled, and not closed: its chunk may be in use by a delivery. The last
/// delivery closes it.
impl Drop for AsyncStream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.dropped = true;
        let left = (std::mem::take(&mut state.parts), state.waker.take());
        drop(state);
        drop(left); // a waker may do anything when it is dropped
        let _ = self.cancel(); // it fails if the answer is over
    }
}

/// Is told the parts on a thread of the library, one after the other, and at last the end.
unsafe extern "C" fn receive(
    chunk: *const sys::mullama_chunk,
    status: sys::mullama_status,
    error: *const sys::mullama_error,
    user: *mut c_void,
) -> bool {
    // A waker that panics must not unwind into the library. Then nobody waits any more.
    let received = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: a chunk is valid during the call, and NULL at the end.
        if let Some(chunk) = unsafe { chunk.as_ref() } {
            // SAFETY: the library's reference lives until the end is told.
            let shared = unsafe { &*user.cast::<Shared>() };
            // SAFETY: as above.
            return shared.put(Some(unsafe { Chunk::copy(chunk) }), false);
        }
        // SAFETY: this is the end, and the last use of the library's reference.
        let shared = unsafe { Arc::from_raw(user.cast::<Shared>()) };
        let library = shared.handle.library;
        // SAFETY: the error belongs to the library, which keeps it during the call.
        let error = (status != sys::MULLAMA_END)
            .then(|| Err(unsafe { Error::copy(library, status, error) }));
        shared.handle.close();
        shared.put(error, true)
    }));
    received.unwrap_or(false)
}
