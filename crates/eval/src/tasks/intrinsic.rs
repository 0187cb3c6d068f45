//! The IDs by themselves: use of codes, collisions, and what they say of behaviour and content.

use std::time::Instant;

use das_core::metrics::{
    DualInformation, IntrinsicMetrics, NeighbourAgreement, dual_information, neighbour_coclick,
    neighbour_content, prefix_agreement,
};
use das_core::sid::SidTable;
use das_core::streams::stream;
use das_core::{Clicks, HeldOut, RowMatrix};

use super::Outcome;
use crate::Result;
use crate::records::Decile;

/// Neighbours whose codes are compared.
const NEIGHBOURS: usize = 10;

/// Items whose neighbours are looked for.
const MOST_QUERIES: usize = 2000;

/// Shuffles that estimate the bias of the mutual information.
const SHUFFLES: usize = 5;

/// What IDs are held against.
#[derive(Clone, Copy)]
pub struct IntrinsicInputs<'a> {
    /// The training clicks.
    pub clicks: &'a dyn Clicks,
    /// The test clicks, with what came before them.
    pub held_out: &'a HeldOut,
    /// The items' content vectors, where there are any.
    pub content: Option<&'a dyn RowMatrix>,
}

/// Measures the IDs of items and, where given, of users, as one flat list of figures:
/// [`das_core::metrics::intrinsic`] of both sides (users with the prefix `user_`),
/// `agreement@l` and `lift@l` of held-out clicks by prefix length, `neighbour_content@10`,
/// `neighbour_coclick@10` with what chance gives as `…/chance`, and `dual_information`.
///
/// Nothing is trained; `seed` draws samples, so that equal tables get equal figures.
///
/// # Errors
/// If tables, clicks and content are not of the same entities.
pub fn intrinsic(
    items: &SidTable,
    users: Option<&SidTable>,
    inputs: IntrinsicInputs<'_>,
    seed: u64,
) -> Result<Outcome> {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    let found = das_core::metrics::intrinsic(items, Some(inputs.clicks.item_clicks()))?;
    outcome.deciles = deciles(&found);
    set_use(&mut outcome, "", &found);
    if let Some(users) = users {
        let found = das_core::metrics::intrinsic(users, None)?;
        set_use(&mut outcome, "user_", &found);
    }
    let pairs: Vec<(u32, u32)> = inputs.held_out.item_pairs().collect();
    for found in prefix_agreement(items, &pairs)? {
        outcome.set(format!("agreement@{}", found.prefix), found.observed);
        outcome.set(format!("lift@{}", found.prefix), found.lift);
    }
    let mut rng = stream(seed, "eval/neighbours", 0);
    let co_click = neighbour_coclick(items, inputs.clicks, NEIGHBOURS, MOST_QUERIES, &mut rng)?;
    set_neighbours(&mut outcome, "neighbour_coclick", &co_click);
    if let Some(content) = inputs.content {
        let found = neighbour_content(items, content, NEIGHBOURS, MOST_QUERIES, &mut rng)?;
        set_neighbours(&mut outcome, "neighbour_content", &found);
    }
    if let Some(users) = users {
        set_dual(&mut outcome, &dual(users, items, inputs.held_out, seed)?);
    }
    outcome.seconds.evaluate = started.elapsed().as_secs_f64();
    Ok(outcome)
}

fn set_use(outcome: &mut Outcome, side: &str, found: &IntrinsicMetrics) {
    let figures = [
        ("collision_rate", found.collision_rate),
        ("collision_rate_resolved", found.collision_rate_resolved),
        ("alone", found.alone),
        ("largest_bucket", found.largest_bucket as f64),
    ];
    for (name, value) in figures {
        outcome.set(format!("{side}{name}"), value);
    }
    for (level, found) in found.levels.iter().enumerate() {
        let figures = [
            ("coverage", found.coverage),
            ("perplexity", found.perplexity),
            ("entropy", found.entropy),
            ("gini", found.gini),
            ("dead", found.dead as f64),
        ];
        for (name, value) in figures {
            outcome.set(format!("{side}{name}_l{level}"), value);
        }
    }
}

fn set_neighbours(outcome: &mut Outcome, name: &str, found: &NeighbourAgreement) {
    let name = format!("{name}@{}", found.k);
    outcome.set(format!("{name}/chance"), found.first_code_expected);
    outcome.set(format!("{name}/prefix"), found.common_prefix);
    outcome.set(name, found.first_code);
}

fn dual(
    users: &SidTable,
    items: &SidTable,
    held_out: &HeldOut,
    seed: u64,
) -> Result<DualInformation> {
    let clicks: Vec<(u32, u32)> =
        held_out.users.iter().copied().zip(held_out.items.iter().copied()).collect();
    let mut rng = stream(seed, "eval/dual", 0);
    Ok(dual_information(users, items, &clicks, SHUFFLES, &mut rng)?)
}

fn set_dual(outcome: &mut Outcome, found: &DualInformation) {
    outcome.set("dual_information", found.excess);
    outcome.set("dual_information/plug-in", found.mi);
}

fn deciles(found: &IntrinsicMetrics) -> Vec<Decile> {
    let groups = found.popularity_deciles.iter().flatten().enumerate();
    groups
        .map(|(decile, found)| {
            let mut metrics: std::collections::BTreeMap<String, f64> = [
                ("collision_rate".to_owned(), found.collision_rate),
                ("alone".to_owned(), found.alone),
            ]
            .into();
            let levels = found.perplexity.iter().enumerate();
            metrics.extend(levels.map(|(level, &value)| (format!("perplexity_l{level}"), value)));
            Decile { decile: decile as u8, queries: found.items, metrics }
        })
        .collect()
}
