//! The calls from Rust: ../README.md says what they are.

use mullama::{Model, Runtime, RuntimeOptions, Stream};
use mullama_sys::{Library, MULLAMA_OK};
use serde_json::{json, Value};
use std::error::Error;
use std::hint::black_box;
use std::ptr::null_mut;
use std::thread;
use std::time::Instant;

const TEXT: &str = "Hello, world!";
const STORY: &str = "Once upon a time, in a small village by the sea, there lived a";
const SAMPLES: usize = 10_000;
const CALLS: u32 = 10; // in a sample
const WARM: usize = 10; // samples that are not kept
const PARTS: u32 = 1000;
const STREAM_TOKENS: u32 = 256;
const STREAM_REPS: usize = 3;
const REQUESTS: u32 = 16;
const REQUEST_TOKENS: u32 = 64;
const REQUEST_REPS: usize = 2;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The nanoseconds that a call takes, the mean of each ten.
fn measure(mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(SAMPLES);
    for sample in 0..WARM + SAMPLES {
        let start = Instant::now();
        for _ in 0..CALLS {
            call()?;
        }
        let each = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
        if sample >= WARM {
            samples.push(each);
        }
    }
    Ok(samples)
}

/// The system's monotonic clock. What `Instant` reads is a secret of its.
fn now_ns() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: now is a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn load(path: &str, options: Value) -> Result<Model> {
    Ok(Runtime::open(&RuntimeOptions::default())?.load(path, options)?)
}

fn generate(model: &Model, prompt: &str, tokens: u32) -> Result<Stream> {
    Ok(model.generate(json!({
        "prompt": prompt,
        "raw": true,
        "options": {"temperature": 0, "num_predict": tokens},
    }))?)
}

/// Reads an answer to its end, and counts its tokens.
fn drain(stream: Stream) -> Result<usize> {
    let mut tokens = 0;
    for chunk in stream {
        tokens += chunk?.tokens.len();
    }
    Ok(tokens)
}

fn calls(path: &str) -> Result<Value> {
    let model = load(path, json!({"vocab_only": true}))?;
    let library = Library::find(None)?;
    let noop = measure(|| {
        // SAFETY: no error is asked for.
        match unsafe { (library.mullama_noop)(null_mut()) } {
            MULLAMA_OK => Ok(()),
            status => Err(format!("the status is {status}").into()),
        }
    })?;
    let tokenize = measure(|| {
        black_box(model.tokenize(TEXT)?);
        Ok(())
    })?;
    Ok(json!({"noop": noop, "tokenize": tokenize}))
}

fn delays() -> Result<Value> {
    let echo = RuntimeOptions {
        echo: true,
        ..RuntimeOptions::default()
    };
    let model = Runtime::open(&echo)?.load("clock", ())?;
    let mut delay = Vec::new();
    for chunk in generate(&model, "?", PARTS)? {
        let chunk = chunk?;
        let now = now_ns();
        if !chunk.done {
            delay.push(now - chunk.text.parse::<i64>()?);
        }
    }
    Ok(json!({"delay": delay}))
}

/// Does some work once to warm up and then some times more.
fn repeat(reps: usize, mut work: impl FnMut() -> Result<usize>) -> Result<Value> {
    let (mut tokens, mut seconds) = (Vec::new(), Vec::new());
    work()?;
    for _ in 0..reps {
        let start = Instant::now();
        tokens.push(work()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(json!({"tokens": tokens, "seconds": seconds}))
}

fn stream(path: &str) -> Result<Value> {
    let model = load(path, json!({"slots": 1}))?;
    repeat(STREAM_REPS, || {
        drain(generate(&model, STORY, STREAM_TOKENS)?)
    })
}

fn concurrent(path: &str) -> Result<Value> {
    let model = load(path, json!({"slots": REQUESTS, "ctx_size": 512}))?;
    let ask = |i: u32| drain(generate(&model, &format!("{i}. {STORY}"), REQUEST_TOKENS)?);
    repeat(REQUEST_REPS, || {
        thread::scope(|scope| {
            let askers: Vec<_> = (0..REQUESTS).map(|i| scope.spawn(move || ask(i))).collect();
            askers
                .into_iter()
                .map(|asker| asker.join().expect("ask does not panic"))
                .sum()
        })
    })
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let line = match words[..] {
        ["calls", path] => calls(path)?,
        ["delays"] => delays()?,
        ["stream", path] => stream(path)?,
        ["concurrent", path] => concurrent(path)?,
        _ => return Err("usage: rust calls|delays|stream|concurrent [MODEL]".into()),
    };
    println!("{line}");
    Ok(())
}
