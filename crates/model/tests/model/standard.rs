//! Content of another scale.

use das_core::progress::Cancel;
use das_core::{DenseMatrix, Side};
use das_model::{Keep, ModelConfig, TokenizerConfig, TrainConfig, encode_all};

use crate::common::{Market, Recorder, das};

/// The item codes of a market whose content vectors are `factor` times as long.
fn item_codes(factor: f32, standardize: bool) -> Vec<u32> {
    let mut market = Market::new(7, 80, 48, 5);
    for content in &mut market.content {
        let longer = content.values().iter().map(|x| x * factor).collect();
        *content = DenseMatrix::new(das_core::RowMatrix::dim(content), longer).unwrap();
    }
    let tokenizer = TokenizerConfig { hidden: vec![24], codebook_sizes: vec![12, 8] };
    let model = ModelConfig {
        code_dim: 8,
        standardize,
        user: tokenizer.clone(),
        item: tokenizer,
        ..ModelConfig::default()
    };
    let config = TrainConfig { epochs: 4, batch_size: 64, ..TrainConfig::default() };
    let (mut recorder, cancel) = (Recorder::default(), Cancel::default());
    let trained = das(market.inputs(), &model, &config, 1, None, &mut recorder, &cancel).unwrap();
    let (keep, progress) = (Keep::default(), das_core::progress::Silent);
    let content = &market.content[Side::Item as usize];
    let tokenizer = &*trained.tokenizer;
    encode_all(tokenizer, Side::Item, content, keep, &progress, &cancel).unwrap().rows.codes
}

/// A power of two changes no mantissa, so the same training has the same bits.
#[test]
fn the_length_of_content_vectors_says_nothing() {
    assert_eq!(item_codes(1.0, true), item_codes(8.0, true));
    assert_ne!(item_codes(1.0, false), item_codes(8.0, false));
}
