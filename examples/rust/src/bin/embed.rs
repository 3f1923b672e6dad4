//! Finds the document that is nearest to a question: embed MODEL

use mullama::Result;

const DOCUMENTS: [&str; 3] = [
    "Paris is the capital of France.",
    "Bananas are rich in potassium.",
    "A llama is a camelid.",
];

fn main() -> Result<()> {
    let model = mullama_examples::load_model()?;
    let question = model
        .embed("What is the capital of France?")?
        .remove(0)?
        .into_vector();
    let documents = model
        .embed(DOCUMENTS)?
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    // Their length is 1, so that the sum of products is the cosine.
    let near = |i: &usize| -> f32 {
        documents[*i]
            .vector()
            .iter()
            .zip(&question)
            .map(|(x, y)| x * y)
            .sum()
    };
    let best = (0..DOCUMENTS.len()).max_by(|a, b| near(a).total_cmp(&near(b)));
    println!("{}", DOCUMENTS[best.unwrap_or_default()]);
    Ok(())
}
