//! Asks a question and prints the answer.

use mullama_examples::{load_model, question};

fn main() -> mullama::Result<()> {
    let model = load_model()?;
    println!("{}", model.chat(question())?.text()?);
    Ok(())
}
