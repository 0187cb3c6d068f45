//! Codes against what the market was drawn from.

use das_core::Side;
use das_core::metrics::{category_agreement, dual_information, prefix_agreement};
use das_core::sid::{SidLayout, SidTable};
use das_core::streams::stream;
use das_data::Part;
use das_data::synthetic::Truth;
use serde::Serialize;

use crate::pipeline::{Fitted, Prepared};

/// How far the codes of one run recover the truth.
pub struct Recovered {
    topic: f64,
    subtopic: f64,
    subtopic_purity: f64,
    interest: f64,
    agreement: f64,
    dual: f64,
}

/// One figure of both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What is measured.
    pub what: &'static str,
    /// Codes from content alone.
    pub content_only: f64,
    /// Codes of DAS.
    pub das: f64,
}

impl Recovered {
    /// Measures the learned codes of `fitted`.
    pub fn measure(
        fitted: &Fitted,
        prepared: &Prepared,
        truth: &Truth,
    ) -> anyhow::Result<Recovered> {
        let tokenizer = &fitted.trained.tokenizer;
        let table = |side: Side| {
            let layout = SidLayout::learned(tokenizer.codebook_sizes(side))?;
            let encoded = fitted.encoded[side as usize].as_ref();
            let codes = encoded.map(|encoded| encoded.rows.codes.clone()).unwrap_or_default();
            SidTable::new(layout, codes)
        };
        let (users, items) = (table(Side::User)?, table(Side::Item)?);
        let held_out = prepared.held_out(Part::Test);
        let item_pairs: Vec<(u32, u32)> = held_out.item_pairs().collect();
        let clicks: Vec<(u32, u32)> =
            held_out.users.iter().copied().zip(held_out.items.iter().copied()).collect();
        let subtopics = category_agreement(&items, &labels(&truth.item_subtopic))?;
        let favourites = favourite_subtopics(truth);
        let mut rng = stream(0, "demo", 0);
        Ok(Recovered {
            topic: category_agreement(&items, &labels(&truth.item_topic))?[0].normalized,
            subtopic: subtopics[0].normalized,
            subtopic_purity: subtopics[0].purity,
            interest: category_agreement(&users, &labels(&favourites))?[0].normalized,
            agreement: prefix_agreement(&items, &item_pairs)?[0].lift.unwrap_or(0.0),
            dual: dual_information(&users, &items, &clicks, 5, &mut rng)?.excess,
        })
    }

    /// The figures of both runs side by side.
    pub fn compare(content_only: &Recovered, das: &Recovered) -> Vec<Comparison> {
        let row = |what, figure: fn(&Recovered) -> f64| Comparison {
            what,
            content_only: figure(content_only),
            das: figure(das),
        };
        vec![
            row("item first code ~ topic (NMI)", |r| r.topic),
            row("item first code ~ sub-topic (NMI)", |r| r.subtopic),
            row("items with the majority sub-topic of their first code", |r| r.subtopic_purity),
            row("user first code ~ favourite sub-topic (NMI)", |r| r.interest),
            row("co-clicked test items, equal first code (× chance)", |r| r.agreement),
            row("user code tells test item's code (nats above chance)", |r| r.dual),
        ]
    }
}

fn labels(values: &[u32]) -> Vec<Option<u32>> {
    values.iter().map(|&value| Some(value)).collect()
}

/// The sub-topic that each user likes most.
fn favourite_subtopics(truth: &Truth) -> Vec<u32> {
    truth
        .user_interest
        .chunks_exact(truth.num_subtopics)
        .map(|interest| {
            let best = interest.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or(0, |(subtopic, _)| subtopic as u32)
        })
        .collect()
}
