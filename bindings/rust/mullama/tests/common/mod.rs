//! What the tests share.
#![allow(dead_code, reason = "no test uses all of it")]

use mullama::{Model, Runtime, RuntimeOptions};

/// A runtime whose model repeats what it is sent.
pub fn echo_runtime() -> Runtime {
    Runtime::open(&RuntimeOptions { echo: true, ..RuntimeOptions::default() }).unwrap()
}

/// The model that repeats.
pub fn echo() -> Model {
    echo_runtime().load("echo", ()).unwrap()
}
