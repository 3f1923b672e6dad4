//! Runs the vectors in conformance/vectors: what every binding must do. Each case is a test.
//!
//! Arguments are parts of the names of the cases to run. `MULLAMA_TEST_MODEL` is the file of the
//! model of smollm2.json, which is not run without it, as `MULLAMA_TEST_EMBED_MODEL` is that of
//! minilm.json and `MULLAMA_TEST_RANK_MODEL` that of ranker.json. `MULLAMA_TEST_URL` is that of a
//! daemon with the models, over which the files are run once more. `MULLAMA_RESULTS` is a file to
//! write what came out to.

#[path = "common/embeddings.rs"]
mod embeddings;

use embeddings::WantScore;
use mullama::{
    Chunk, Embedding, Error, Found, Model, Ranking, Runtime, RuntimeOptions, Stream,
    TokenizeOptions,
};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

const RUNNER: &str = "rust";

#[derive(Deserialize)]
struct Vectors {
    load: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(rename = "group")]
    _group: String,
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
    add: Vec<Value>,
    train: Option<Value>,
    #[serde(default)]
    options: Value,
    cancel_after: Option<usize>,
    want_text: Option<String>,
    want_parts: Option<Vec<String>>,
    want_last: Option<Map<String, Value>>,
    want_logprobs: Option<Vec<WantLogprob>>,
    want_embeddings: Option<Vec<Vec<Vec<f32>>>>,
    want_tokens: Option<Vec<usize>>,
    want_truncated: Option<Vec<bool>>,
    want_errors: Option<Vec<String>>,
    want_scores: Option<Vec<WantScore>>,
    want_method: Option<String>,
    want_found: Option<Vec<WantFound>>,
    want_info: Option<Map<String, Value>>,
    want_error: Option<String>,
    #[serde(default)]
    want_message: String,
    #[serde(default)]
    skip: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct WantLogprob {
    token: String,
    logprob: f64,
    top: usize,
}

#[derive(Deserialize)]
struct WantFound {
    id: String,
    score: f64,
}

/// What a case gives.
#[derive(Default)]
struct Outcome {
    text: String,
    tokens: Vec<i32>,
    chunks: Vec<Chunk>,
    embeddings: Vec<Embedding>,
    ranking: Ranking,
    found: Vec<Found>,
    info: Value,
}

fn run(runtime: &Runtime, model: &Model, case: &Case) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    match case.op.as_str() {
        "load" => drop(runtime.load(&case.model, &case.options)?),
        "open" => open(case)?,
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
        "embed" => {
            let all = model.embed(&case.request)?;
            outcome.embeddings = embeddings::take(all, case.want_errors.as_deref())?;
        }
        "index" => search(runtime, model, case, &mut outcome)?,
        "rerank" | "score" => outcome.ranking = rank(model, case)?,
        op => panic!("the operation {op} is not known"),
    }
    outcome.text.extend(outcome.chunks.iter().map(|c| c.text.as_str()));
    Ok(outcome)
}

/// Opens a runtime of the case's own, and loads a model if one is named.
fn open(case: &Case) -> Result<(), Error> {
    let text = |name: &str| case.options[name].as_str().map(String::from);
    let runtime = Runtime::open(&RuntimeOptions {
        library_dir: text("library_dir").map(Into::into),
        models_dir: text("models_dir").map(Into::into),
        url: text("url"),
        key: text("key"),
        ..RuntimeOptions::default()
    })?;
    if case.model.is_empty() {
        runtime.info().map(drop)
    } else {
        runtime.load(&case.model, json!({})).map(drop)
    }
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

fn rank(model: &Model, case: &Case) -> Result<Ranking, Error> {
    let mut more = case.request.clone();
    let fields = more.as_object_mut().unwrap();
    let query = fields.remove("query").unwrap_or_default();
    let (query, documents) = (query.as_str().unwrap_or_default(), fields.remove("documents"));
    if case.op == "score" {
        model.score_with(query, documents, more)
    } else {
        model.rerank_with(query, documents, more)
    }
}

/// Fills an index, opens it anew, and searches it.
fn search(
    runtime: &Runtime,
    model: &Model,
    case: &Case,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let model = (!case.flags.iter().any(|f| f == "no_model")).then_some(model);
    let own = std::env::temp_dir().join(format!("mullama-{}.index", std::process::id()));
    let _ = std::fs::remove_file(&own);
    let path = if case.model.is_empty() { own.to_str().unwrap() } else { &case.model };
    let options = if case.options.is_null() { json!({}) } else { case.options.clone() };
    let index = runtime.open_index(path, model, options)?;
    for request in &case.add {
        index.add(&request["documents"])?;
    }
    if let Some(train) = &case.train {
        index.train(usize::try_from(train["groups"].as_u64().unwrap()).unwrap())?;
    }
    index.close();
    let index = runtime.open_index(path, model, ())?;
    outcome.found = index.search(&case.request)?;
    outcome.info = index.info()?;
    index.verify()?;
    let _ = std::fs::remove_file(&own);
    Ok(())
}

fn check_found(outcome: &Outcome, wanted: &[WantFound]) {
    let found = &outcome.found;
    assert!(found.iter().map(|f| &f.id).eq(wanted.iter().map(|w| &w.id)), "{found:?}");
    for (got, want) in found.iter().zip(wanted) {
        assert!((got.score - want.score).abs() <= 0.03 * want.score.abs().max(1.0), "{got:?}");
    }
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
    if let Some(want) = &case.want_logprobs {
        check_logprobs(&outcome.chunks, want);
    }
    check_embeddings(case, &outcome);
    if let Some(want) = &case.want_found {
        check_found(&outcome, want);
    }
    for (field, want) in case.want_info.iter().flatten() {
        assert_eq!(&outcome.info[field], want, "{field} of the index");
    }
    for (field, want) in case.want_last.iter().flatten() {
        let last = outcome.chunks.last().expect("there has to be a last part");
        assert!(last.done);
        assert_eq!(&last.json[field], want, "{field} of {}", last.json);
    }
}

fn check_embeddings(case: &Case, outcome: &Outcome) {
    let embeddings = &outcome.embeddings;
    if let Some(want) = &case.want_embeddings {
        embeddings::check_rows(embeddings, want);
    }
    if let Some(want) = &case.want_tokens {
        assert!(embeddings.iter().map(|e| &e.tokens).eq(want), "{embeddings:?}");
    }
    if let Some(want) = &case.want_truncated {
        assert!(embeddings.iter().map(|e| &e.truncated).eq(want), "{embeddings:?}");
    }
    if let Some(want) = &case.want_scores {
        embeddings::check_scores(&outcome.ranking, want);
    }
    if let Some(want) = &case.want_method {
        assert_eq!(&outcome.ranking.method, want);
        assert!(outcome.ranking.tokens > 0);
    }
}

fn check_logprobs(chunks: &[Chunk], wanted: &[WantLogprob]) {
    let got: Vec<&Value> =
        chunks.iter().filter_map(|c| c.json["logprobs"].as_array()).flatten().collect();
    assert_eq!(got.len(), wanted.len(), "{got:?}");
    for (got, want) in got.iter().zip(wanted) {
        assert_eq!(got["token"], want.token);
        let off = got["logprob"].as_f64().unwrap() - want.logprob;
        assert!(off.abs() <= 0.05, "{got}");
        assert_eq!(got["top_logprobs"].as_array().map_or(0, Vec::len), want.top);
    }
}

#[derive(Default)]
struct Results {
    filters: Vec<String>,
    cases: Map<String, Value>,
    skipped: Vec<Value>,
}

impl Results {
    fn count(&self, outcome: &str) -> usize {
        self.cases.values().filter(|v| *v == outcome).count()
    }

    fn run_file(&mut self, path: &str, group: &str, runtime: &Runtime, model: &str) {
        // Asked when the test runs: checkouts that share a target folder share the program, too.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let folder = Path::new(&package).join("../../../conformance/vectors");
        let folder = folder.canonicalize().unwrap();
        let text = std::fs::read_to_string(folder.join(path)).unwrap();
        let text = text.replace("$VECTORS", folder.to_str().unwrap()).replace("$MODEL", model);
        let vectors: Vectors = serde_json::from_str(&text).unwrap();
        let model = runtime.load(model, &vectors.load).unwrap();
        for case in &vectors.cases {
            let name = format!("{group}/{}", case.name);
            if self.filters.is_empty() || self.filters.iter().any(|f| name.contains(f)) {
                let reason = case.skip.get(RUNNER).or_else(|| case.skip.get(group));
                self.run_case(name, reason, runtime, &model, case);
            }
        }
    }

    fn run_case(
        &mut self,
        name: String,
        skip: Option<&String>,
        runtime: &Runtime,
        model: &Model,
        case: &Case,
    ) {
        let outcome = if let Some(reason) = skip {
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
    let filters = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut results = Results { filters, ..Results::default() };
    let echo = RuntimeOptions { echo: true, ..RuntimeOptions::default() };
    results.run_file("echo.json", "echo", &Runtime::open(&echo).unwrap(), "echo");
    for (file, model) in [
        ("smollm2", "MULLAMA_TEST_MODEL"),
        ("minilm", "MULLAMA_TEST_EMBED_MODEL"),
        ("ranker", "MULLAMA_TEST_RANK_MODEL"),
    ] {
        let Some(model) = variable(model) else { continue };
        let vectors = format!("{file}.json");
        let runtime = Runtime::open(&RuntimeOptions::default()).unwrap();
        results.run_file(&vectors, file, &runtime, &model);
        if let Some(url) = variable("MULLAMA_TEST_URL") {
            let options = RuntimeOptions { url: Some(url), ..RuntimeOptions::default() };
            results.run_file(&vectors, "daemon", &Runtime::open(&options).unwrap(), file);
        }
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
