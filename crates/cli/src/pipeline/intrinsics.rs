//! The figures that tell whether IDs are sound, for a run or for any ID file.

use std::collections::HashMap;

use das_core::Side;
use das_core::metrics::{
    CategoryAgreement, DualInformation, IntrinsicMetrics, PrefixAgreement, category_agreement,
    dual_information, intrinsic, prefix_agreement,
};
use das_core::sid::SidTable;
use das_core::streams::stream;
use das_core::{Clicks, HeldOut};
use das_data::{ColumnKind, EntityTable, Part, TextColumn};
use serde::Serialize;

use super::Prepared;
use crate::usage::UsageError;

/// Shuffles that estimate the bias of the mutual information.
const SHUFFLES: usize = 5;

/// What IDs are held against: training popularity, held-out clicks and item categories.
pub struct Behaviour {
    clicks: [Vec<u32>; 2],
    held_out: Vec<(Part, HeldOut)>,
    /// The category of each item, where the data set has any.
    categories: Option<Vec<Option<u32>>>,
}

/// Everything that is known about the IDs of a run or file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InspectReport {
    /// The item side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<SideReport>,
    /// The user side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<SideReport>,
    /// How far a user's first code tells the first code of items it clicks, on held-out clicks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual: Option<DualInformation>,
}

/// One side's figures.
#[derive(Clone, Debug, Serialize)]
pub struct SideReport {
    /// Use of codes and collisions.
    #[serde(flatten)]
    pub intrinsic: IntrinsicMetrics,
    /// Mean over entities of ‖x − x̂‖².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconstruction_error: Option<f64>,
    /// Prefix–co-click agreement on held-out clicks (items).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agreement: Vec<Agreement>,
    /// Prefix–category agreement (items).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryAgreement>,
}

/// Prefix–co-click agreement on one part of the log.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// `validation` or `test`.
    pub part: &'static str,
    /// By prefix length.
    pub prefixes: Vec<PrefixAgreement>,
}

impl Behaviour {
    /// Reads off `prepared` the clicks of `parts` and the categories of `column`, or of the
    /// first list column where none is named.
    pub fn of(
        prepared: &Prepared,
        parts: &[Part],
        column: Option<&str>,
    ) -> anyhow::Result<Behaviour> {
        let clicks = &prepared.clicks;
        let labels = item_labels(prepared.data.items(), column)?;
        Ok(Behaviour {
            clicks: [clicks.user_clicks().to_vec(), clicks.item_clicks().to_vec()],
            held_out: parts.iter().map(|&part| (part, prepared.held_out(part))).collect(),
            categories: labels.map(|labels| number(&labels)),
        })
    }
}

impl InspectReport {
    /// Measures the tables given.
    pub fn new(
        user: Option<&SidTable>,
        item: Option<&SidTable>,
        behaviour: Option<&Behaviour>,
    ) -> anyhow::Result<InspectReport> {
        let mut report = InspectReport::default();
        if let Some(table) = user {
            report.user = Some(SideReport::new(table, behaviour.map(|b| &b.clicks[0]))?);
        }
        if let Some(table) = item {
            let mut side = SideReport::new(table, behaviour.map(|b| &b.clicks[1]))?;
            if let Some(behaviour) = behaviour {
                side.add_behaviour(table, behaviour)?;
            }
            report.item = Some(side);
        }
        if let (Some(user), Some(item), Some(behaviour)) = (user, item, behaviour)
            && let Some((_, held_out)) = behaviour.held_out.last()
            && !held_out.items.is_empty()
        {
            let pairs: Vec<(u32, u32)> =
                held_out.users.iter().copied().zip(held_out.items.iter().copied()).collect();
            let mut rng = stream(0, "dual information", 0);
            let dual = dual_information(user, item, &pairs, SHUFFLES, &mut rng)?;
            report.dual = Some(dual);
        }
        Ok(report)
    }

    /// Notes the reconstruction error of a side.
    pub fn set_reconstruction_error(&mut self, side: Side, error: Option<f64>) {
        let side = match side {
            Side::User => &mut self.user,
            Side::Item => &mut self.item,
        };
        if let Some(side) = side {
            side.reconstruction_error = error;
        }
    }
}

impl SideReport {
    fn new(table: &SidTable, clicks: Option<&Vec<u32>>) -> anyhow::Result<SideReport> {
        Ok(SideReport {
            intrinsic: intrinsic(table, clicks.map(Vec::as_slice))?,
            reconstruction_error: None,
            agreement: Vec::new(),
            categories: Vec::new(),
        })
    }

    fn add_behaviour(&mut self, table: &SidTable, behaviour: &Behaviour) -> anyhow::Result<()> {
        for (part, held_out) in &behaviour.held_out {
            let pairs: Vec<(u32, u32)> = held_out.item_pairs().collect();
            if !pairs.is_empty() {
                let prefixes = prefix_agreement(table, &pairs)?;
                self.agreement.push(Agreement { part: part_name(*part), prefixes });
            }
        }
        if let Some(categories) = &behaviour.categories {
            self.categories = category_agreement(table, categories)?;
        }
        Ok(())
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Validation => "validation",
        Part::Test => "test",
    }
}

/// One category an item: of its values in the column, the one that most items have among those
/// that at most half of all items have. None where no list column exists and none is named.
fn item_labels<'a>(
    items: &'a EntityTable,
    column: Option<&str>,
) -> anyhow::Result<Option<Vec<Option<&'a str>>>> {
    let column: &TextColumn = match column {
        Some(name) => items.column(name).ok_or_else(|| {
            let present = items.column_names();
            UsageError(format!("items have no column `{name}`; columns present: {present}"))
        })?,
        None => match items.columns().iter().find(|column| column.kind() == ColumnKind::List) {
            Some(column) => column,
            None => return Ok(None),
        },
    };
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for row in 0..column.len() {
        column.parts(row).for_each(|part| *counts.entry(part).or_default() += 1);
    }
    let telling = |part: &&str| counts[part] * 2 <= column.len();
    let label = |row| {
        // Ties go to the first in alphabetical order, whatever the order of the list.
        column
            .parts(row)
            .filter(telling)
            .max_by_key(|part| (counts[part], std::cmp::Reverse(*part)))
    };
    Ok(Some((0..column.len()).map(label).collect()))
}

fn number(labels: &[Option<&str>]) -> Vec<Option<u32>> {
    let mut numbers = HashMap::new();
    labels
        .iter()
        .map(|label| {
            label.map(|label| {
                let next = numbers.len() as u32;
                *numbers.entry(label).or_insert(next)
            })
        })
        .collect()
}
