//! What the vectors expect of embeddings and scores.

use mullama::{Embedding, Error, Ranking};
use serde::Deserialize;

const NEAR_COSINE: f64 = 0.9999;
const NEAR_LENGTH: f64 = 0.02;
const NEAR_SCORE: f64 = 0.03;

#[derive(Deserialize)]
pub struct WantScore {
    index: usize,
    score: f64,
}

/// The embeddings of a case. What is wrong with one text is an error, unless the case wants it.
pub fn take(
    all: Vec<Result<Embedding, Error>>,
    wanted: Option<&[String]>,
) -> Result<Vec<Embedding>, Error> {
    let Some(wanted) = wanted else {
        return all.into_iter().collect();
    };
    let status = |e: &Result<Embedding, Error>| e.as_ref().map_or_else(Error::status, |_| "");
    assert!(all.iter().map(status).eq(wanted.iter()), "{all:?}");
    Ok(all.into_iter().map(Result::unwrap_or_default).collect())
}

pub fn check_rows(got: &[Embedding], wanted: &[Vec<Vec<f32>>]) {
    assert_eq!(got.len(), wanted.len());
    for (embedding, want) in got.iter().zip(wanted) {
        assert_eq!(embedding.rows.len(), want.len());
        assert_eq!(embedding.vector(), embedding.rows[0]);
        embedding.rows.iter().zip(want).for_each(|(row, want)| check_row(row, want));
    }
}

fn check_row(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    let sum = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let (mine, theirs) = (sum(got, got).sqrt(), sum(want, want).sqrt());
    let cosine = sum(got, want) / (mine * theirs);
    assert!(cosine >= NEAR_COSINE, "the cosine is {cosine}");
    assert!((mine / theirs - 1.0).abs() <= NEAR_LENGTH, "the length is {mine}, not {theirs}");
}

pub fn check_scores(got: &Ranking, wanted: &[WantScore]) {
    assert_eq!(got.results.len(), wanted.len());
    for (got, want) in got.results.iter().zip(wanted) {
        assert_eq!(got.index, want.index);
        let off = (got.score - want.score).abs();
        assert!(off <= NEAR_SCORE * want.score.abs().max(1.0), "{got:?}, not {}", want.score);
    }
}
