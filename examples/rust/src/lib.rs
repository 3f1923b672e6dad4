//! What the examples share: the model that the first argument names, and a request.

use mullama::{Model, Result, Runtime, RuntimeOptions};
use serde_json::{json, Value};

/// Loads the model that the first argument of the program names: a file, or one of the store in the
/// folder that the environment variable `OLLAMA_MODELS` names.
pub fn load_model() -> Result<Model> {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: give the path or the name of a model");
        std::process::exit(2);
    };
    let models_dir = std::env::var_os("OLLAMA_MODELS").map(Into::into);
    let runtime = Runtime::open(&RuntimeOptions {
        models_dir,
        ..RuntimeOptions::default()
    })?;
    runtime.load(&name, ()) // the model outlives its runtime
}

/// A question to which the answer is always the same.
pub fn question() -> Value {
    json!({
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "options": {"temperature": 0},
    })
}
