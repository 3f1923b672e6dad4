//! Answers whose parts come without waiting.

mod common;

use common::echo;
use futures_core::Stream as _;
use futures_executor::block_on;
use mullama::{Chunk, ErrorKind, Message};
use std::future::poll_fn;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::pin::pin;
use std::sync::{mpsc, Arc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

#[test]
fn parts_come_in_order() {
    let stream = echo().generate("héllo").unwrap().into_async().unwrap();
    let answer = block_on(stream.answer()).unwrap();
    assert_eq!((answer.text.as_str(), answer.eval_count), ("héllo", 6));
}

#[test]
fn it_is_a_stream_of_the_futures_crates() {
    let mut stream = pin!(echo().generate("ab").unwrap().into_async().unwrap());
    let mut next = || block_on(poll_fn(|cx| stream.as_mut().poll_next(cx)));
    assert_eq!(next().unwrap().unwrap().text, "a");
    assert_eq!(next().unwrap().unwrap().text, "b");
    assert!(next().unwrap().unwrap().done);
    assert!(next().is_none());
    assert!(next().is_none());
}

#[test]
fn a_stream_may_become_async_half_way_and_at_its_end() {
    let mut stream = echo().generate("abc").unwrap();
    stream.next().unwrap().unwrap();
    assert_eq!(block_on(stream.into_async().unwrap().text()).unwrap(), "bc");

    let mut stream = echo().generate("abc").unwrap();
    stream.by_ref().for_each(drop);
    let mut stream = stream.into_async().unwrap();
    assert!(block_on(stream.next()).is_none());
    stream.cancel().unwrap(); // too late, and no error
}

#[test]
fn an_answer_may_be_cancelled() {
    let stream = echo().generate("abc").unwrap();
    stream.cancel().unwrap();
    let stream = stream.into_async().unwrap();
    stream.cancel().unwrap();
    let answer = block_on(stream.answer()).unwrap();
    assert_eq!((answer.text.as_str(), answer.done_reason.as_str()), ("", "cancelled"));
}

#[test]
fn a_dropped_stream_is_closed_by_its_last_delivery() {
    let mut stream = echo().generate("abc").unwrap();
    stream.next().unwrap().unwrap();
    let canceller = stream.canceller();
    drop(stream.into_async().unwrap());
    // Until then it may be cancelled.
    while canceller.cancel().is_ok() {
        thread::yield_now();
    }
    assert_eq!(canceller.cancel().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn one_thread_reads_many_streams() {
    let model = echo();
    let texts: Vec<String> = (0..50).map(|i| format!("request {i}")).collect();
    let ask = |text: &String| model.chat([Message::user(text)])?.into_async();
    let streams: Vec<_> = texts.iter().map(|text| ask(text).unwrap()).collect();
    let answers: Vec<_> = streams.into_iter().map(|s| block_on(s.text()).unwrap()).collect();
    assert_eq!(answers, texts);
}

#[test]
fn streams_may_be_dropped_at_any_time() {
    let model = echo();
    thread::scope(|scope| {
        for i in 0..4 {
            let model = &model;
            scope.spawn(move || {
                for parts in 0..200 {
                    let stream = model.generate("a long text of many parts").unwrap();
                    let mut stream = stream.into_async().unwrap();
                    for _ in 0..(parts + i) % 5 {
                        block_on(stream.next()).unwrap().unwrap();
                    }
                }
            });
        }
    });
}

/// A waker that tells that it woke, and then panics.
struct Panics(mpsc::Sender<()>);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
        resume_unwind(Box::new("on purpose")); // a panic that prints nothing
    }
}

#[test]
fn a_waker_that_panics_harms_nobody() {
    let model = echo();
    let (woke, wait) = mpsc::channel();
    let waker = Waker::from(Arc::new(Panics(woke)));
    let mut texts = 0;
    for _ in 0..100 {
        let mut stream = pin!(model.generate("abc").unwrap().into_async().unwrap());
        let poll = catch_unwind(AssertUnwindSafe(|| {
            stream.as_mut().poll_next(&mut Context::from_waker(&waker))
        }));
        match poll.unwrap() {
            Poll::Pending => wait.recv().unwrap(),
            Poll::Ready(part) => texts += Chunk::clone(&part.unwrap().unwrap()).text.len(),
        }
    }
    assert!(texts <= 100);
    assert_eq!(model.generate("abc").unwrap().text().unwrap(), "abc");
}
