//! How tokenizers learn from ID embeddings, and the content adapter.

use das_core::progress::Cancel;
use das_core::{Clicks, RowMatrix, Side};
use das_model::{
    BatchBuilder, Das, ModelConfig, Phase, PopularityFeatures, Standard, Term, TokenizerConfig,
    TrainConfig, Trained,
};
use das_nn::{Device, Tape};

use crate::common::{Market, Recorder, das};

fn model() -> ModelConfig {
    let tokenizer = TokenizerConfig { hidden: vec![24], codebook_sizes: vec![12, 8] };
    ModelConfig { code_dim: 8, user: tokenizer.clone(), item: tokenizer, ..ModelConfig::paper() }
}

fn trained<'a>(market: &Market, model: &ModelConfig, teach_after: u32) -> (Trained, Recorder<'a>) {
    let config = TrainConfig { epochs: 3, batch_size: 64, teach_after, ..TrainConfig::default() };
    let mut recorder = Recorder::default();
    let cancel = Cancel::default();
    let trained = das(market.inputs(), model, &config, 1, None, &mut recorder, &cancel);
    (trained.unwrap(), recorder)
}

const TAUGHT: [Term; 4] = [Term::QuPro, Term::QiInt, Term::QuInt, Term::QiPro];

/// The terms of one batch with their weights, by name, and ∂L/∂(ID tables) where asked.
fn losses(market: &Market, config: &ModelConfig) -> Vec<(&'static str, f32)> {
    let popularity = Side::BOTH.map(|side| PopularityFeatures::new(market, side));
    let content = [0, 1].map(|side| Standard::of(&market.content[side]).unwrap());
    let das = Das::new(&Device::cpu(), config, content, popularity, 1).unwrap();
    let [users, items] = &market.content;
    let batch = BatchBuilder::new(market, [users, items], config).build(&market.epoch(0, 0), 0..64);
    let mut tape = Tape::new(das.params());
    let terms = das.forward(&mut tape, &batch, Phase::Joint, false);
    let total = terms.total(&mut tape);
    let mut values = terms.values(&tape);
    values.push(("total", tape.scalar(total)));
    values
}

#[test]
fn tables_that_are_not_moved_by_alignments_learn_from_clicks_alone() {
    let market = Market::new(31, 80, 48, 5);
    let apart = |beta| {
        let config = ModelConfig { teacher_gradient: false, beta, ..model() };
        trained(&market, &config, 0).0
    };
    let (weak, strong) = (apart(0.1), apart(0.5));
    assert_eq!(weak.extra, strong.extra);
    assert_ne!(weak.tokenizer.to_bytes().unwrap(), strong.tokenizer.to_bytes().unwrap());
    assert_ne!(trained(&market, &model(), 0).0.extra, strong.extra);
}

#[test]
fn teachers_learn_from_clicks_first() {
    let market = Market::new(32, 80, 48, 5);
    let (_, records) = trained(&market, &model(), 2);
    let steps = records.steps.len();
    for step in 0..steps {
        let terms = records.terms(step);
        let taught = TAUGHT.iter().filter(|term| terms.contains(&term.name())).count();
        assert_eq!(taught, if step < steps * 2 / 3 { 0 } else { 4 }, "step {step}");
        assert!(terms.contains(&"cf_unbiased") && terms.contains(&"co_i"));
    }
}

#[test]
fn few_clicks_make_a_weak_teacher() {
    let market = Market::new(33, 80, 48, 5);
    let half = 3.0;
    let config = ModelConfig { teacher_clicks: half, ..model() };
    let [users, items] = &market.content;
    let batch =
        BatchBuilder::new(&market, [users, items], &config).build(&market.epoch(0, 0), 0..64);
    for (side, counts) in [(&batch.user, market.user_clicks()), (&batch.item, market.item_clicks())]
    {
        let trust = side.trust.as_ref().unwrap();
        for (&id, &found) in side.ids.iter().zip(trust) {
            let n = counts[id as usize] as f32;
            assert!((found - n / (n + half)).abs() < 1e-6);
        }
    }
    // Every user has five clicks, so their embeddings are trusted alike, and the contrasts with
    // them are plain ones that count 5/8. Those with items are weighted.
    let (plain, weighted) = (losses(&market, &model()), losses(&market, &config));
    let at = |of: &[(&str, f32)], name: &str| of.iter().find(|(n, _)| *n == name).unwrap().1;
    for (term, same) in [("qi_int", true), ("qu_int", true), ("qu_pro", false), ("qi_pro", false)] {
        let difference = (at(&plain, term) - at(&weighted, term)).abs();
        assert_eq!(difference < 1e-5, same, "{term}: {difference}");
    }
    let users_alone = |teacher_clicks| {
        let mut config = ModelConfig { teacher_clicks, ..model() };
        for term in
            Term::ALL.iter().filter(|term| !["qi_int", "rq_u", "rq_i"].contains(&term.name()))
        {
            config.terms.set(*term, 0.0);
        }
        at(&losses(&market, &config), "total")
    };
    let (trusted, shared) = (users_alone(0.0), users_alone(half));
    assert!((shared / trusted - 5.0 / 8.0).abs() < 1e-5, "{shared} of {trusted}");
}

#[test]
fn other_items_of_a_user_are_added_to_its_interest() {
    let market = Market::new(35, 80, 48, 5);
    let config = ModelConfig { interest_items: 3, ..model() };
    let [users, items] = &market.content;
    let batch =
        BatchBuilder::new(&market, [users, items], &config).build(&market.epoch(0, 0), 0..64);
    assert!(batch.item.clicked.is_empty());
    let rows = batch.user.clicked.chunks_exact(3).zip(&batch.user.ids).zip(&batch.item.ids);
    for ((found, &user), &item) in rows {
        let others: Vec<u32> =
            market.items_of(user).iter().copied().filter(|&other| other != item).collect();
        match others.len() {
            0 => assert_eq!(found, [item; 3]),
            // Few are all there, many are spread out: none twice where there are enough.
            count => {
                assert!(found.iter().all(|other| others.contains(other)), "{found:?} {others:?}");
                let distinct: std::collections::BTreeSet<&u32> = found.iter().collect();
                assert_eq!(distinct.len(), count.min(3));
            }
        }
    }
    let (own, joined) = (losses(&market, &model()), losses(&market, &config));
    let at = |of: &[(&str, f32)], name: &str| of.iter().find(|(n, _)| *n == name).unwrap().1;
    for (term, same) in [("qi_int", false), ("cf_unbiased", false), ("qi_pro", true)] {
        assert_eq!(at(&own, term) == at(&joined, term), same, "{term}");
    }
    // Two stages know it too.
    let frozen = ModelConfig { frozen_cf: true, ..config };
    assert_ne!(
        trained(&market, &frozen, 0).0.extra,
        trained(&market, &ModelConfig { frozen_cf: true, ..model() }, 0).0.extra
    );
}

#[test]
fn the_adapter_moves_content_as_far_as_its_weight_lets_it() {
    let market = Market::new(34, 80, 48, 5);
    let moved = |weight: f32| {
        let mut config = ModelConfig { adapter_rank: 4, ..model() };
        config.terms.set(Term::AdaptI, weight);
        let (trained, records) = trained(&market, &config, 0);
        let items = &market.content[1];
        let codes = trained
            .tokenizer
            .encode_rows(Side::Item, items.consecutive(0..items.rows()).unwrap())
            .unwrap()
            .codes;
        assert_eq!(codes.len(), 2 * items.rows());
        let last = records.steps.last().unwrap();
        last.terms.iter().find(|(name, _)| *name == "adapt_i").unwrap().1
    };
    // So few steps move content by a hundredth of its length: what holds it must pull hard.
    let (free, held) = (moved(0.01), moved(1000.0));
    assert!(held > 0.0 && held < 0.5 * free, "{held} and {free}");
    let plain = losses(&market, &model());
    assert!(plain.iter().all(|(name, _)| !name.starts_with("adapt")));
}

#[test]
fn schedules_that_never_teach_are_refused() {
    let config = TrainConfig { teach_after: 12, ..TrainConfig::default() };
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("train.teach_after"), "{error}");
    let config = ModelConfig { teacher_clicks: -1.0, ..model() };
    assert!(config.check().unwrap_err().to_string().contains("model.teacher_clicks"));
}
