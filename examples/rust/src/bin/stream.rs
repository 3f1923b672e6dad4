//! Asks a question and prints the answer part by part, as it is generated.

use mullama_examples::{load_model, question};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = load_model()?;
    let mut tokens = 0;
    for chunk in model.chat(question())? {
        let chunk = chunk?;
        if !chunk.text.is_empty() {
            print!("{}|", chunk.text);
            std::io::stdout().flush()?;
        }
        if chunk.done {
            tokens = chunk.json["eval_count"].as_u64().unwrap_or(0);
        }
    }
    println!("\n{tokens} tokens");
    Ok(())
}
