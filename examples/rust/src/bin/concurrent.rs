//! Asks ten questions at once, which are computed together.

use mullama::Model;
use mullama_examples::{load_model, question};
use std::thread;

fn ask(model: &Model) -> mullama::Result<String> {
    model.chat(question())?.text()
}

fn main() -> mullama::Result<()> {
    let model = load_model()?;
    let answers = thread::scope(|scope| {
        let askers: Vec<_> = (0..10).map(|_| scope.spawn(|| ask(&model))).collect();
        askers
            .into_iter()
            .map(|asker| asker.join().expect("ask does not panic"))
            .collect()
    });
    let answers: mullama::Result<Vec<String>> = answers;
    let answers = answers?;
    let same = answers.iter().all(|answer| *answer == answers[0]);
    println!("{} answers, all the same: {same}", answers.len());
    Ok(())
}
