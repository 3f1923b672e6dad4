//! Cancels a long answer after its fifth part.

use mullama_examples::load_model;
use serde_json::json;

fn main() -> mullama::Result<()> {
    let model = load_model()?;
    let options = json!({"options": {"temperature": 0, "num_predict": 400}});
    let mut stream = model.generate_with("Once upon a time", options)?;
    for _ in 0..5 {
        stream.next().transpose()?;
    }
    stream.cancel()?;
    println!("cancelled after 5 parts");
    println!("{}", stream.answer()?.done_reason); // of what is left
    Ok(())
}
