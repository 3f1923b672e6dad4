//! Memory stays flat. This has a process of its own, with nothing else in it.

mod common;

use mullama::ErrorKind;
use serde_json::json;

const ALL: usize = 10_000;
const WINDOW: usize = 1_000;
const BOUND: i64 = 2 << 20;

/// The bytes of this process that are in memory.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * pages.split(' ').nth(1).unwrap().parse::<i64>().unwrap()
}

fn round() {
    let runtime = common::echo_runtime();
    let model = runtime.load_with_progress("echo", (), |_| true).unwrap();
    model.info().unwrap();
    assert_eq!(model.detokenize(&model.tokenize("Hello").unwrap()).unwrap(), b"Hello");
    assert_eq!(model.generate("Hello").unwrap().text().unwrap(), "Hello");
    let mut left = model.generate("Hello").unwrap();
    assert_eq!(left.next().unwrap().unwrap().text, "H");
    drop(model.generate("Hello").unwrap().into_async().unwrap());
    assert_eq!(model.generate(json!({})).err().unwrap().kind(), ErrorKind::Invalid);
}

/// Goes so many rounds, and gives the least memory after one of them: between two collections of
/// Go's garbage there is more.
fn least_of(rounds: usize) -> i64 {
    (0..rounds)
        .map(|_| {
            round();
            resident()
        })
        .min()
        .unwrap()
}

#[test]
fn ten_thousand_rounds_leave_memory_flat() {
    least_of(WINDOW);
    let before = least_of(WINDOW);
    least_of(ALL - 3 * WINDOW);
    let grown = least_of(WINDOW) - before;
    assert!(grown <= BOUND, "memory grew by {grown} bytes");
}
