//! What every user of the embedder may rely on.

use crate::corpus::{config, corpus, cosine, embed, fit, refs};
use das_content::{Embedder, Error, TfidfSvd, TfidfSvdConfig};
use das_core::RowMatrix;
use das_core::progress::{Cancel, Silent};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

#[test]
fn rows_have_norm_one_and_similar_texts_are_closer() {
    let texts = corpus(400, 1);
    let (embedder, report) = fit(&refs(&texts), &config(32));
    assert_eq!((embedder.dim(), report.dim, report.fitted_texts), (32, 32, 400));
    assert!(report.energy > 0.4 && report.energy < 1.0, "{}", report.energy);
    let rows = embed(&embedder, &refs(&texts));
    let mut same = (0.0, 0);
    let mut other = (0.0, 0);
    for i in 0..400 {
        assert!((cosine(&rows, i, i) - 1.0).abs() < 1e-6);
        for j in 0..i {
            let sum = if i % 4 == j % 4 { &mut same } else { &mut other };
            *sum = (sum.0 + cosine(&rows, i, j), sum.1 + 1);
        }
    }
    let (same, other) = (same.0 / f64::from(same.1), other.0 / f64::from(other.1));
    assert!(same > 3.0 * other.abs(), "same topic {same}, other topic {other}");
}

#[test]
fn a_full_rank_projection_keeps_the_cosines_of_naive_tf_idf() {
    let texts = corpus(40, 2);
    let config = TfidfSvdConfig {
        bigram_weight: 0.0,
        char_weight: 0.0,
        min_df: 1,
        bucket_bits: 20,
        dim: 200,
        power_iterations: 4,
        ..Default::default()
    };
    let (embedder, _) = fit(&refs(&texts), &config);
    let rows = embed(&embedder, &refs(&texts));
    let naive = naive_tf_idf(&texts);
    for i in 0..texts.len() {
        for j in 0..texts.len() {
            let expected: f64 =
                naive[i].iter().map(|(word, x)| x * naive[j].get(word).unwrap_or(&0.0)).sum();
            assert!((cosine(&rows, i, j) - expected).abs() < 1e-4, "{i} {j}");
        }
    }
}

/// Sublinear tf, smoothed idf and L2 norm, by the book, on unhashed words.
fn naive_tf_idf(texts: &[String]) -> Vec<std::collections::HashMap<&str, f64>> {
    let has = |text: &String, word: &str| text.split(' ').any(|w| w == word);
    let idf = |word: &str| {
        let df = texts.iter().filter(|text| has(text, word)).count() as f64;
        ((1.0 + texts.len() as f64) / (1.0 + df)).ln() + 1.0
    };
    let row = |text: &'_ String| {
        let tf = |word: &str| text.split(' ').filter(|w| *w == word).count() as f64;
        text.split(' ').map(|word| (word.to_string(), (1.0 + tf(word).ln()) * idf(word))).collect()
    };
    texts
        .iter()
        .map(|text| {
            let weights: std::collections::HashMap<String, f64> = row(text);
            let norm = weights.values().map(|x| x * x).sum::<f64>().sqrt();
            text.split(' ').map(|word| (word, weights[word] / norm)).collect()
        })
        .collect()
}

#[test]
fn the_order_of_the_texts_changes_nothing_but_the_order_of_the_rows() {
    let texts = corpus(300, 3);
    let (embedder, _) = fit(&refs(&texts), &config(24));
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(5));
    let shuffled: Vec<&str> = order.iter().map(|&i| texts[i].as_str()).collect();
    let (again, _) = fit(&shuffled, &config(24));
    assert_eq!(embedder.identity(), again.identity());
    let (rows, shuffled) = (embed(&embedder, &refs(&texts)), embed(&again, &shuffled));
    for (to, &from) in order.iter().enumerate() {
        assert_eq!(rows.matrix.row(from), shuffled.matrix.row(to));
    }
}

#[test]
fn neither_threads_nor_the_batch_change_a_bit() {
    let texts = corpus(700, 4);
    let texts = refs(&texts);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (embedder, _) = fit(&texts, &config(24));
            let rows = embed(&embedder, &texts);
            (embedder.identity(), rows)
        })
    };
    let (identity, rows) = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), (identity.clone(), rows.clone()));
    }
    let (embedder, _) = fit(&texts, &config(24));
    for (i, text) in texts.iter().enumerate().step_by(97) {
        assert_eq!(embed(&embedder, &[text]).matrix.row(0), rows.matrix.row(i));
    }
}

#[test]
fn texts_with_nothing_known_get_the_mean_direction_and_are_reported() {
    let mut texts = corpus(100, 6);
    texts[17].clear();
    texts[40] = "\u{0}\u{1f}\u{202e} \u{feff}…".into();
    let (embedder, _) = fit(&refs(&texts), &config(16));
    let mut all = refs(&texts);
    all.push("ξένη γλώσσα");
    let rows = embed(&embedder, &all);
    assert_eq!(rows.fallback_rows, [17, 40, 100]);
    let mut mean = [0.0; 16];
    for i in (0..100).filter(|i| ![17, 40].contains(i)) {
        for (mean, &x) in mean.iter_mut().zip(rows.matrix.row(i)) {
            *mean += f64::from(x);
        }
    }
    let norm = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
    for row in [17, 40, 100] {
        for (mean, &x) in mean.iter().zip(rows.matrix.row(row)) {
            assert!((mean / norm - f64::from(x)).abs() < 1e-5);
        }
    }
}

#[test]
fn fewer_texts_than_dimensions_lower_the_width() {
    let texts = ["red nail polish", "red nail polish", "blue nail polish", "blue shampoo", ""];
    let (embedder, report) = fit(&texts, &config(64));
    assert_eq!(embedder.dim(), report.dim);
    assert!((2..=3).contains(&embedder.dim()), "{}", embedder.dim());
    let rows = embed(&embedder, &texts);
    assert_eq!(rows.matrix.row(0), rows.matrix.row(1));
    assert!(rows.matrix.values().iter().all(|x| x.is_finite()));
    let (single, _) = fit(&["one word", "one word"], &config(64));
    assert_eq!(single.dim(), 1);
}

#[test]
fn texts_without_a_shared_feature_are_an_error() {
    for texts in [&[][..], &["", " "], &["alone"]] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let failed =
            TfidfSvd::fit(texts, &config(8), &mut rng, &Silent, &Cancel::default()).unwrap_err();
        assert!(matches!(failed, Error::NoFeatures { min_df: 2, .. }), "{failed}");
        assert!(failed.to_string().contains("`min_df` = 2"));
    }
}

#[test]
fn long_texts_are_cut_and_counted() {
    let mut texts = corpus(60, 8);
    texts[3] = "shampoo ".repeat(1000);
    let config = TfidfSvdConfig { max_chars: 200, ..config(8) };
    let (embedder, report) = fit(&refs(&texts), &config);
    assert_eq!(report.truncated, 1);
    let rows = embed(&embedder, &[&texts[3], &texts[3][..200], &"x".repeat(1 << 20)]);
    assert_eq!(rows.truncated, 2);
    assert_eq!(rows.matrix.row(0), rows.matrix.row(1));
}

#[test]
fn a_sample_is_fitted_on_where_texts_are_many() {
    let texts = corpus(500, 9);
    let config = TfidfSvdConfig { max_fit_texts: 120, ..config(16) };
    let (embedder, report) = fit(&refs(&texts), &config);
    assert_eq!((report.texts, report.fitted_texts), (500, 120));
    assert_eq!(embedder.identity(), fit(&refs(&texts), &config).0.identity());
    assert_eq!(embed(&embedder, &refs(&texts)).matrix.rows(), 500);
}

#[test]
fn the_most_frequent_features_are_kept() {
    let texts = corpus(200, 10);
    let (all, _) = fit(&refs(&texts), &config(16));
    let config = TfidfSvdConfig { max_features: 50, ..config(16) };
    let (few, report) = fit(&refs(&texts), &config);
    assert_eq!((few.num_features(), report.features), (50, 50));
    assert!(all.num_features() > 50);
}

#[test]
fn a_request_to_stop_is_heard() {
    let texts = corpus(50, 11);
    let cancel = Cancel::default();
    let (embedder, _) = fit(&refs(&texts), &config(8));
    cancel.request();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let stopped = TfidfSvd::fit(&refs(&texts), &config(8), &mut rng, &Silent, &cancel);
    let interrupted = |error| matches!(error, Error::Core(das_core::Error::Interrupted));
    assert!(interrupted(stopped.unwrap_err()));
    assert!(interrupted(embedder.embed(&refs(&texts), &Silent, &cancel).unwrap_err()));
}

#[test]
fn settings_out_of_range_name_their_key() {
    let good = TfidfSvdConfig::default;
    let bad = [
        ("dim", TfidfSvdConfig { dim: 0, ..good() }),
        ("dim", TfidfSvdConfig { dim: 5000, ..good() }),
        ("bucket_bits", TfidfSvdConfig { bucket_bits: 40, ..good() }),
        ("char_ngram_min", TfidfSvdConfig { char_ngram_min: 6, ..good() }),
        ("char_ngram_max", TfidfSvdConfig { char_ngram_max: 99, ..good() }),
        ("word_weight", TfidfSvdConfig { word_weight: -1.0, ..good() }),
        ("bigram_weight", TfidfSvdConfig { bigram_weight: f32::NAN, ..good() }),
        ("min_df", TfidfSvdConfig { min_df: 0, ..good() }),
        ("max_features", TfidfSvdConfig { max_features: 0, ..good() }),
        ("max_chars", TfidfSvdConfig { max_chars: 0, ..good() }),
        ("max_fit_texts", TfidfSvdConfig { max_fit_texts: 0, ..good() }),
        ("oversample", TfidfSvdConfig { oversample: 100_000, ..good() }),
        ("power_iterations", TfidfSvdConfig { power_iterations: 0, ..good() }),
        ("singular_power", TfidfSvdConfig { singular_power: 2.0, ..good() }),
    ];
    good().validate().unwrap();
    for (key, config) in bad {
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains(&format!("`{key}`")), "{message}");
    }
    let weightless =
        TfidfSvdConfig { word_weight: 0.0, bigram_weight: 0.0, char_weight: 0.0, ..good() };
    assert!(weightless.validate().is_err());
    let unknown = serde_json::from_str::<TfidfSvdConfig>(r#"{"dims": 3}"#).unwrap_err();
    assert!(unknown.to_string().contains("dims"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_gives_a_finite_unit_vector(text in "\\PC{0,40}|[\\s\\S]{0,40}") {
        static FITTED: std::sync::LazyLock<TfidfSvd> = std::sync::LazyLock::new(|| {
            let texts = corpus(60, 12);
            fit(&refs(&texts), &config(8)).0
        });
        let rows = embed(&*FITTED, &[&text]);
        prop_assert!((cosine(&rows, 0, 0) - 1.0).abs() < 1e-5);
    }
}
