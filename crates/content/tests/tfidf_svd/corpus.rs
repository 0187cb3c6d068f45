//! A small generated corpus with topics, shared by the tests.

use das_content::{Embeddings, FitReport, TfidfSvd, TfidfSvdConfig};
use das_core::RowMatrix;
use das_core::progress::{Cancel, Silent};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Words that tell a topic, and words that all topics share.
const TOPICS: [&str; 4] = [
    "nail lacquer polish gloss manicure cuticle topcoat",
    "shampoo conditioner scalp keratin argan frizz curls",
    "perfume eau cologne jasmine sandalwood spray fragrance",
    "sunscreen lotion moisturizer serum retinol wrinkle cream",
];
const SHARED: &str = "new women best pack size set original oz kit care";

/// `texts` titles; the topic of title i is i mod 4.
pub(crate) fn corpus(texts: usize, seed: u64) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shared: Vec<&str> = SHARED.split(' ').collect();
    let topics: Vec<Vec<&str>> = TOPICS.iter().map(|topic| topic.split(' ').collect()).collect();
    let mut title = |topic: &[&str]| {
        let mut words: Vec<&str> = (0..4).map(|_| *topic.choose(&mut rng).unwrap()).collect();
        words.extend((0..3).map(|_| *shared.choose(&mut rng).unwrap()));
        format!("{} {}", words.join(" "), rng.random_range(1..20))
    };
    (0..texts).map(|i| title(&topics[i % TOPICS.len()])).collect()
}

pub(crate) fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

pub(crate) fn config(dim: usize) -> TfidfSvdConfig {
    TfidfSvdConfig { dim, bucket_bits: 14, ..Default::default() }
}

pub(crate) fn fit(texts: &[&str], config: &TfidfSvdConfig) -> (TfidfSvd, FitReport) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    TfidfSvd::fit(texts, config, &mut rng, &Silent, &Cancel::default()).unwrap()
}

pub(crate) fn embed(embedder: &dyn das_content::Embedder, texts: &[&str]) -> Embeddings {
    embedder.embed(texts, &Silent, &Cancel::default()).unwrap()
}

pub(crate) fn cosine(embeddings: &Embeddings, i: usize, j: usize) -> f64 {
    let (a, b) = (embeddings.matrix.row(i), embeddings.matrix.row(j));
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}
