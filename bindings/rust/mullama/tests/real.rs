//! With a real model: the file that `MULLAMA_TEST_MODEL` names. Without it these are ignored.

use futures_executor::block_on;
use mullama::{ErrorKind, Model, Runtime, RuntimeOptions};
use serde_json::{json, Value};
use std::thread;

fn runtime() -> (Runtime, String) {
    let name = std::env::var("MULLAMA_TEST_MODEL").expect("MULLAMA_TEST_MODEL names a model");
    (Runtime::open(&RuntimeOptions::default()).unwrap(), name)
}

fn model() -> Model {
    let (runtime, name) = runtime();
    runtime.load(&name, json!({"ctx_size": 512, "slots": 8})).unwrap()
}

fn story(number: i32) -> Value {
    json!({
        "messages": [{"role": "user", "content": format!("Tell me a story of {number} cats.")}],
        "options": {"temperature": 0, "num_predict": 12},
    })
}

#[test]
#[ignore = "needs a model"]
fn eight_chats_at_once_are_as_alone() {
    let model = model();
    let alone: Vec<_> = (0..8).map(|i| model.chat(story(i)).unwrap().text().unwrap()).collect();
    let together: Vec<_> = thread::scope(|scope| {
        let ask = |i| model.chat(story(i)).unwrap().text().unwrap();
        let askers: Vec<_> = (0..8).map(|i| scope.spawn(move || ask(i))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
    let streams: Vec<_> =
        (0..8).map(|i| model.chat(story(i)).unwrap().into_async().unwrap()).collect();
    let delivered: Vec<_> = streams.into_iter().map(|s| block_on(s.text()).unwrap()).collect();
    assert_eq!(delivered, alone);
}

#[test]
#[ignore = "needs a model"]
fn a_schema_keeps_the_order_of_its_properties() {
    let model = model();
    let one_of = |word: &str| json!({"const": word});
    let schema = json!({
        "type": "object", "required": ["second", "first"],
        "properties": {"second": one_of("b"), "first": one_of("a")},
    });
    let options = json!({"format": schema, "options": {"temperature": 0, "num_predict": 64}});
    let text = model.generate_with("JSON:", options).unwrap().text().unwrap();
    assert!(text.find("second").unwrap() < text.find("first").unwrap(), "{text}");
}

#[test]
#[ignore = "needs a model"]
fn parts_have_logprobs_if_asked_for() {
    let model = model();
    let more = json!({"logprobs": true, "options": {"temperature": 0, "num_predict": 2}});
    let first = model.generate_with("Once", more).unwrap().next().unwrap().unwrap();
    assert!(first.logprobs().unwrap()[0]["logprob"].as_f64().unwrap() <= 0.0);
}

#[test]
#[ignore = "needs a model"]
fn a_load_is_given_up_by_its_progress() {
    let (runtime, name) = runtime();
    let load = runtime.load_with_progress(&name, (), |_| false);
    assert_eq!(load.unwrap_err().kind(), ErrorKind::Cancelled);
    let mut last = 0.0;
    let options = json!({"vocab_only": true});
    let load = runtime.load_with_progress(&name, options, |part| {
        last = part;
        true
    });
    assert_eq!(load.unwrap().chat(story(1)).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(last <= 1.0);
}

#[test]
#[ignore = "needs a model"]
fn a_stream_keeps_its_model() {
    let model = model();
    let (read, delivered) = (model.chat(story(1)).unwrap(), model.chat(story(1)).unwrap());
    let delivered = delivered.into_async().unwrap();
    drop(model);
    let answer = read.answer().unwrap();
    assert_eq!((answer.eval_count, answer.done_reason.as_str()), (12, "length"));
    assert_eq!(block_on(delivered.text()).unwrap(), answer.text);
}

#[test]
#[ignore = "needs a model"]
fn a_closed_model_ends_its_streams() {
    let model = model();
    let long = json!({"options": {"temperature": 0, "num_predict": 400}});
    let mut read = model.generate_with("Once", &long).unwrap();
    read.next().unwrap().unwrap();
    let delivered = model.generate_with("Once", &long).unwrap().into_async().unwrap();
    model.close();
    assert!(read.count() < 400);
    let _ = block_on(delivered.answer()); // it ends, with or without an error
}
