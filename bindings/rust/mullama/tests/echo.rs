//! What is special to Rust, with the model that repeats.

mod common;

use common::{echo, echo_runtime};
use mullama::{AsyncStream, Canceller, ErrorKind, Message, Model, Runtime, RuntimeOptions, Stream};
use serde_json::{json, Value};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;

#[test]
fn handles_go_to_any_thread() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Runtime>();
    shared::<Model>();
    shared::<Stream>();
    shared::<AsyncStream>();
    shared::<Canceller>();
    shared::<mullama::Error>();
}

#[test]
fn runtimes_and_models_tell_of_themselves() {
    let runtime = echo_runtime();
    assert_eq!(runtime.info().unwrap()["engine"], "echo");
    assert_eq!(runtime.models().unwrap()["models"][1]["name"], "echo");
    let model = runtime.load("echo", json!({"ctx_size": 64})).unwrap();
    assert_eq!(model.info().unwrap()["ctx_size"], 64);
}

#[test]
fn options_go_to_the_library() {
    let kind = |options| Runtime::open(&options).unwrap_err().kind();
    let url = Some("x".to_string());
    assert_eq!(kind(RuntimeOptions { url, ..RuntimeOptions::default() }), ErrorKind::Invalid);
    let key = Some("secret".to_string()); // of no daemon
    assert_eq!(kind(RuntimeOptions { key, ..RuntimeOptions::default() }), ErrorKind::Invalid);
    let library_dir = Some("nowhere".into());
    let options = RuntimeOptions { library_dir, ..RuntimeOptions::default() };
    assert_eq!(kind(options), ErrorKind::LibraryMissing);
}

#[test]
fn closing_is_for_all_clones_and_twice_is_fine() {
    let runtime = echo_runtime();
    let model = runtime.load("echo", ()).unwrap();
    let clone = runtime.clone();
    clone.close();
    runtime.close();
    assert_eq!(runtime.info().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(runtime.load("echo", ()).unwrap_err().kind(), ErrorKind::Closed);

    assert_eq!(model.tokenize("a").unwrap(), [97]); // it outlives its runtime
    model.clone().close();
    model.close();
    assert_eq!(model.tokenize("a").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(model.generate("a").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_dropped_clone_closes_nothing() {
    let model = echo();
    drop(model.clone());
    assert_eq!(model.generate("abc").unwrap().text().unwrap(), "abc");
}

#[test]
fn requests_are_messages_prompts_or_objects() {
    let model = echo();
    let messages = vec![Message::system("s"), Message::user("hé"), Message::assistant("a\0b")];
    assert_eq!(model.render(&messages).unwrap(), "system: s\nuser: hé\nassistant: a\0b\n");
    assert_eq!(model.chat(&messages).unwrap().text().unwrap(), "a\0b");
    let two = json!({"options": {"num_predict": 2}});
    assert_eq!(model.generate_with("abc", &two).unwrap().text().unwrap(), "ab");
    assert_eq!(model.chat_with(messages, two).unwrap().text().unwrap(), "a\0");
    assert_eq!(model.generate(json!({"prompt": "x"})).unwrap().text().unwrap(), "x");
}

#[test]
fn bytes_that_are_no_text_go_through_tokens() {
    let model = echo();
    assert_eq!(model.tokenize(b"\xff\x00a").unwrap(), [255, 0, 97]);
    assert_eq!(model.detokenize(&[255, 0, 97]).unwrap(), b"\xff\x00a");
    assert_eq!(model.detokenize_text(&[0xc3]).unwrap_err().kind(), ErrorKind::Invalid);
    let long = "é".repeat(100_000);
    let tokens = model.tokenize(&long).unwrap();
    assert_eq!(tokens.len(), long.len());
    assert_eq!(model.detokenize_text(&tokens).unwrap(), long);
}

#[test]
fn names_with_zero_bytes_are_refused() {
    assert_eq!(echo_runtime().load("a\0b", ()).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn parts_have_tokens_and_the_last_has_counts() {
    let chunks: Vec<_> = echo().generate("hé").unwrap().map(Result::unwrap).collect();
    assert_eq!(chunks[0].tokens, [104]);
    assert_eq!(chunks[1].tokens, [0xc3, 0xa9]);
    assert_eq!((chunks[1].done, &chunks[1].json), (false, &Value::Null));
    assert!(chunks.last().unwrap().done);

    let answer = echo().generate("hé").unwrap().answer().unwrap();
    assert_eq!((answer.text.as_str(), answer.done_reason.as_str()), ("hé", "stop"));
    assert_eq!((answer.prompt_eval_count, answer.eval_count, answer.cached_tokens), (3, 3, 0));
    assert_eq!(answer.last["done"], true);
}

#[test]
fn a_stream_has_nothing_after_its_end() {
    let mut stream = echo().generate("a").unwrap();
    assert_eq!(stream.by_ref().count(), 2);
    assert!(stream.next().is_none());
    stream.cancel().unwrap(); // too late, and no error
    assert_eq!(stream.answer().unwrap().text, "");
}

#[test]
fn a_stream_that_is_left_or_closed_cannot_be_cancelled() {
    let model = echo();
    let stream = model.generate("abc").unwrap();
    let left = stream.canceller();
    for chunk in stream {
        if chunk.unwrap().text == "b" {
            break;
        }
    }
    assert_eq!(left.cancel().unwrap_err().kind(), ErrorKind::Closed);

    let stream = model.generate("abc").unwrap();
    let closed = stream.canceller();
    stream.close();
    assert_eq!(closed.cancel().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_consumer_that_panics_closes_its_stream() {
    let model = echo();
    let stream = model.generate("abc").unwrap();
    let canceller = stream.canceller();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        for chunk in stream {
            assert_ne!(chunk.unwrap().text, "b", "on purpose");
        }
    }));
    assert!(panicked.is_err());
    assert_eq!(canceller.cancel().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(model.generate("abc").unwrap().text().unwrap(), "abc");
}

#[test]
fn another_thread_cancels() {
    let mut stream = echo().generate("abcdef").unwrap();
    assert_eq!(stream.next().unwrap().unwrap().text, "a");
    let canceller = stream.canceller();
    thread::spawn(move || canceller.cancel().unwrap()).join().unwrap();
    let answer = stream.answer().unwrap();
    assert_eq!((answer.text.as_str(), answer.done_reason.as_str()), ("", "cancelled"));
}

#[test]
fn another_thread_reads_on() {
    let mut stream = echo().generate("abc").unwrap();
    assert_eq!(stream.next().unwrap().unwrap().text, "a");
    let rest = thread::spawn(move || stream.text().unwrap()).join().unwrap();
    assert_eq!(rest, "bc");
}

#[test]
fn errors_say_kind_and_reason() {
    let error = echo_runtime().load("other", ()).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::NotFound, "not_found"));
    assert!(error.message().contains("echo"));
    assert_eq!(error.to_string(), format!("not_found: {}", error.message()));
    assert_eq!(error.kind().to_string(), "not_found");
}

#[test]
fn progress_is_told_and_its_panic_goes_on() {
    let runtime = echo_runtime();
    let mut told = Vec::new();
    let load = runtime.load_with_progress("echo", (), |part| {
        told.push(part);
        true
    });
    load.unwrap();
    assert_eq!(told, [1.0]);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        runtime.load_with_progress("echo", (), |_| panic!("on purpose")).map(drop)
    }));
    let message = *panicked.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "on purpose");
    assert!(runtime.load("echo", ()).is_ok());
}

#[test]
fn many_threads_use_one_model() {
    let model = echo();
    thread::scope(|scope| {
        for i in 0..8 {
            let model = &model;
            scope.spawn(move || {
                for j in 0..100 {
                    let text = format!("thread {i}, request {j}");
                    let stream = model.chat([Message::user(&text)]).unwrap();
                    if j % 3 == 0 {
                        continue; // dropped unread
                    }
                    assert_eq!(stream.text().unwrap(), text);
                }
            });
        }
    });
}

#[test]
fn closing_while_others_ask_is_an_error_for_them() {
    let model = echo();
    let (started, wait) = mpsc::channel();
    let asker = thread::spawn({
        let model = model.clone();
        move || loop {
            match model.generate("abc").and_then(Stream::answer) {
                Ok(a) if a.done_reason == "cancelled" => assert!("abc".starts_with(&a.text)),
                Ok(a) => assert_eq!(a.text, "abc"),
                Err(e) => return e.kind(),
            }
            let _ = started.send(()); // nobody hears all of them
        }
    });
    wait.recv().unwrap();
    model.close();
    assert_eq!(asker.join().unwrap(), ErrorKind::Closed);
}

#[test]
fn each_text_has_its_embedding_or_its_error() {
    let model = echo();
    let texts = ["ab", "", "c"];
    let all = model.embed_with(texts, json!({"pooling": "none", "normalize": false})).unwrap();
    assert_eq!(all.len(), 3);
    let first = all[0].clone().unwrap();
    assert_eq!(first.rows, [[97.0, 1.0], [98.0, 1.0]]);
    assert_eq!((first.tokens, first.truncated), (2, false));
    assert_eq!(all[1].clone().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(all[2].clone().unwrap().into_vector(), [99.0, 1.0]);
}

#[test]
fn a_text_and_a_request_are_embedded_as_well() {
    let model = echo();
    let one = model.embed("a").unwrap().remove(0).unwrap();
    let request = model.embed(json!({"input": ["a"]})).unwrap().remove(0).unwrap();
    assert_eq!(one, request);
    assert_eq!(model.embed(json!({})).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(model.embed_with("a", 7).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_model_that_ranks_nothing_says_so() {
    let model = echo();
    assert_eq!(model.rerank("q", ["a"]).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(model.score("q", ["a"]).unwrap_err().kind(), ErrorKind::Unsupported);
    model.close();
    assert_eq!(model.embed("a").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(model.rerank("q", ["a"]).unwrap_err().kind(), ErrorKind::Closed);
}
