//! Runs the vectors in conformance/vectors: what every binding must do. Each case is a test.
//!
//! Arguments are parts of the names of the cases to run. `MULLAMA_TEST_MODEL` is the file of the
//! model of smollm2.json, which is not run without it. `MULLAMA_RESULTS` is a file to write what
//! came out to.

use mullama::{Chunk, Error, Model, Runtime, RuntimeOptions, Stream, TokenizeOptions};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

const RUNNER: &str = "rust";

#[derive(Deserialize)]
struct Vectors {
    name: String,
    load: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    op: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    tokens: Vec<i32>,
    #[serde(default)]
    request: Value,
    #[serde(default)]
    model: String,
    #[serde(default)]
    options: Value,
    cancel_after: Option<usize>,
    want_text: Option<String>,
    want_parts: Option<Vec<String>>,
    want_last: Option<Map<String, Value>>,
    want_error: Option<String>,
    #[serde(default)]
    want_message: String,
    #[serde(default)]
    skip: BTreeMap<String, String>,
}

/// What a case gives.
#[derive(Default)]
struct Outcome {
    text: String,
    tokens: Vec<i32>,
    chunks: Vec<Chunk>,
}

fn run(runtime: &Runtime, model: &Model, case: &Case) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    match case.op.as_str() {
        "load" => drop(runtime.load(&case.model, &case.options)?),
        "tokenize" => {
            let has = |flag: &str| case.flags.iter().any(|f| f == flag);
            let options = TokenizeOptions {
                add_special: has("add_special"),
                parse_special: has("parse_special"),
            };
            outcome.tokens = model.tokenize_with(&case.text, options)?;
        }
        "detokenize" => outcome.text = model.detokenize_text(&case.tokens)?,
        "render" => outcome.text = model.render(&case.request)?,
        "chat" => outcome.chunks = read(model.chat(&case.request)?, case)?,
        "generate" => outcome.chunks = read(model.generate(&case.request)?, case)?,
        op => panic!("the operation {op} is not known"),
    }
    outcome.text.extend(outcome.chunks.iter().map(|c| c.text.as_str()));
    Ok(outcome)
}

fn read(stream: Stream, case: &Case) -> Result<Vec<Chunk>, Error> {
    let canceller = stream.canceller();
    let mut chunks = Vec::new();
    for chunk in stream {
        chunks.push(chunk?);
        if Some(chunks.len()) == case.cancel_after {
            canceller.cancel()?;
        }
    }
    Ok(chunks)
}

fn check(case: &Case, result: Result<Outcome, Error>) {
    if let Some(want) = &case.want_error {
        let error = result.err().expect("it has to fail");
        assert_eq!(error.status(), want, "{error}");
        assert!(error.message().contains(&case.want_message), "{error}");
        return;
    }
    let outcome = result.unwrap();
    if case.op == "tokenize" {
        assert_eq!(outcome.tokens, case.tokens);
    }
    if let Some(want) = &case.want_text {
        assert_eq!(&outcome.text, want);
    }
    if let Some(want) = &case.want_parts {
        assert!(outcome.chunks.iter().map(|c| &c.text).eq(want), "{:?}", outcome.chunks);
    }
    for (field, want) in case.want_last.iter().flatten() {
        let last = outcome.chunks.last().expect("there has to be a last part");
        assert!(last.done);
        assert_eq!(&last.json[field], want, "{field} of {}", last.json);
    }
}

#[derive(Default)]
struct Results {
    cases: Map<String, Value>,
    skipped: Vec<Value>,
}

impl Results {
    fn count(&self, outcome: &str) -> usize {
        self.cases.values().filter(|v| *v == outcome).count()
    }

    fn run_file(&mut self, path: &str, runtime: &Runtime, model: &str, filters: &[String]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../conformance/vectors");
        let text = std::fs::read_to_string(folder.join(path)).unwrap();
        let vectors: Vectors = serde_json::from_str(&text).unwrap();
        let model = runtime.load(model, &vectors.load).unwrap();
        for case in &vectors.cases {
            let name = format!("{}/{}", vectors.name, case.name);
            if filters.is_empty() || filters.iter().any(|f| name.contains(f)) {
                self.run_case(name, runtime, &model, case);
            }
        }
    }

    fn run_case(&mut self, name: String, runtime: &Runtime, model: &Model, case: &Case) {
        let outcome = if let Some(reason) = case.skip.get(RUNNER) {
            println!("test {name} ... ignored: {reason}");
            self.skipped.push(json!({"name": name, "reason": reason}));
            "skipped"
        } else {
            let test = AssertUnwindSafe(|| check(case, run(runtime, model, case)));
            let passed = catch_unwind(test).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            if passed {
                "passed"
            } else {
                "failed"
            }
        };
        self.cases.insert(name, outcome.into());
    }

    fn write(&self, path: &str) {
        let results = json!({
            "language": RUNNER, "passed": self.count("passed"), "failed": self.count("failed"),
            "skipped": self.skipped, "cases": self.cases,
        });
        std::fs::write(path, format!("{results:#}\n")).unwrap();
    }
}

/// The value of an environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut results = Results::default();
    let echo = RuntimeOptions { echo: true, ..RuntimeOptions::default() };
    results.run_file("echo.json", &Runtime::open(&echo).unwrap(), "echo", &filters);
    if let Some(model) = variable("MULLAMA_TEST_MODEL") {
        let runtime = Runtime::open(&RuntimeOptions::default()).unwrap();
        results.run_file("smollm2.json", &runtime, &model, &filters);
    }
    if let Some(path) = variable("MULLAMA_RESULTS") {
        results.write(&path);
    }
    let failed = results.count("failed");
    println!(
        "\ntest result: {}. {} passed; {failed} failed; {} ignored",
        if failed == 0 { "ok" } else { "FAILED" },
        results.count("passed"),
        results.skipped.len()
    );
    ExitCode::from(u8::from(failed > 0))
}
