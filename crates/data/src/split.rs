//! Splits of a log into training, validation and test rows.

use std::fmt;
use std::str::FromStr;

use das_core::{EntityIds, files};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::{DataSet, INTERACTIONS_FILE};
use crate::interactions::{Interactions, OrderKind};
use crate::{Error, Result};

/// How the rows are dealt out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// Of each user's clicks the last is test, the one before validation, the rest training;
    /// users with fewer than three clicks keep all in training. An exposure (label 0) is
    /// training where it comes before the user's validation click; later ones go with the
    /// held-out click before them.
    #[default]
    LeaveLastOut,
    /// By time over the whole log: the first 80 % of the rows, the next 10 %, the last 10 %.
    /// Ties stand in file order.
    GlobalTime,
    /// The same shares of each user's own rows.
    PerUserTime,
}

impl SplitKind {
    /// All kinds.
    pub const ALL: [SplitKind; 3] =
        [SplitKind::LeaveLastOut, SplitKind::GlobalTime, SplitKind::PerUserTime];

    /// The name in configs and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            SplitKind::LeaveLastOut => "leave-last-out",
            SplitKind::GlobalTime => "global-time",
            SplitKind::PerUserTime => "per-user-time",
        }
    }
}

impl fmt::Display for SplitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SplitKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<SplitKind> {
        SplitKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = SplitKind::ALL.map(SplitKind::name).join(", ");
            Error::Config(format!("unknown split `{name}`, expected one of {known}"))
        })
    }
}

/// The part of a split that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Everything is learned from these rows alone.
    Train,
    /// Rows for choices made while training.
    Validation,
    /// Rows for the final figures.
    Test,
}

/// The part of each row of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    kind: SplitKind,
    parts: Vec<Part>,
    /// Whether each item is held out altogether; empty where none is.
    cold: Vec<bool>,
}

impl Split {
    /// Deals out the rows of `data`. A global-time split needs timestamps.
    pub fn new(data: &DataSet, kind: SplitKind) -> Result<Split> {
        Split::of_rows(data, kind, Vec::new())
    }

    /// Holds about a `share` of the items out of training altogether: every row of theirs is
    /// test, and the other rows are dealt out by `kind` as if these did not exist. Which items
    /// is a function of `seed` and their ids alone.
    ///
    /// A share that is not between 0 and 1, or that takes no item or all of them, is an error.
    pub fn with_cold_items(
        data: &DataSet,
        kind: SplitKind,
        share: f64,
        seed: u64,
    ) -> Result<Split> {
        if !(share > 0.0 && share < 1.0) {
            let message = format!("cold items: expected a share between 0 and 1, found {share}");
            return Err(Error::Config(message));
        }
        let cold = choose(data.item_ids(), share, seed);
        let chosen = cold.iter().filter(|&&cold| cold).count();
        if chosen == 0 || chosen == cold.len() {
            return Err(Error::Config(format!(
                "cold items: a share of {share} takes {chosen} of {} items, expected some but \
                 not all",
                cold.len()
            )));
        }
        Split::of_rows(data, kind, cold)
    }

    fn of_rows(data: &DataSet, kind: SplitKind, cold: Vec<bool>) -> Result<Split> {
        let log = data.interactions();
        if kind == SplitKind::GlobalTime && log.order_kind() != OrderKind::Timestamp {
            let message = "the split global-time needs a column `timestamp`, the log has \
                           `position` only, which does not compare users";
            return Err(Error::file(&data.folder().join(INTERACTIONS_FILE), message));
        }
        let is_cold = |row: u32| cold.get(log.items()[row as usize] as usize) == Some(&true);
        // What stays at training is overwritten below; only cold rows are test from the start.
        let mut parts: Vec<Part> = (0..log.len() as u32)
            .map(|row| if is_cold(row) { Part::Test } else { Part::Train })
            .collect();
        let warm = |rows: &mut dyn Iterator<Item = u32>| -> Vec<u32> {
            rows.filter(|&row| !is_cold(row)).collect()
        };
        if kind == SplitKind::GlobalTime {
            let mut rows = warm(&mut (0..log.len() as u32));
            rows.sort_by_key(|&row| log.order()[row as usize]);
            deal_out(&rows, &mut parts);
        } else {
            for user in 0..log.num_users() as u32 {
                let rows = warm(&mut log.rows_of(user).iter().copied());
                match kind {
                    SplitKind::LeaveLastOut => leave_last_out(log, &rows, &mut parts),
                    _ => deal_out(&rows, &mut parts),
                }
            }
        }
        Ok(Split { kind, parts, cold })
    }

    /// How the rows were dealt out.
    pub fn kind(&self) -> SplitKind {
        self.kind
    }

    /// The part of each row of the log.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part of `row`.
    pub fn part(&self, row: usize) -> Part {
        self.parts[row]
    }

    /// Whether `item` is held out of training altogether.
    pub fn is_cold(&self, item: u32) -> bool {
        self.cold.get(item as usize) == Some(&true)
    }

    /// Number of rows of a part.
    pub fn count(&self, part: Part) -> usize {
        self.parts.iter().filter(|&&other| other == part).count()
    }

    /// SHA-256 over the training rows, in hexadecimal: each user's sequence of item, label and
    /// weight, and the items held out altogether. Rows of the other parts do not enter it.
    pub fn fingerprint(&self, data: &DataSet) -> String {
        let log = data.interactions();
        let mut hash = Sha256::new();
        hash.update((log.num_users() as u64).to_le_bytes());
        hash.update((data.items().len() as u64).to_le_bytes());
        for user in 0..log.num_users() as u32 {
            let rows = log.rows_of(user).iter().map(|&row| row as usize);
            for row in rows.filter(|&row| self.parts[row] == Part::Train) {
                hash.update(user.to_le_bytes());
                hash.update(log.items()[row].to_le_bytes());
                hash.update([u8::from(log.is_positive(row))]);
                hash.update(log.weight(row).to_le_bytes());
            }
        }
        if !self.cold.is_empty() {
            hash.update(b"cold items");
            self.cold.iter().for_each(|&cold| hash.update([u8::from(cold)]));
        }
        files::hex(&hash.finalize())
    }
}

/// Draws each item with chance `share`, by a hash of `seed` and its id as text.
fn choose(ids: &EntityIds, share: f64, seed: u64) -> Vec<bool> {
    let draw = |row: usize| {
        let mut hash = Sha256::new();
        hash.update(b"cold items");
        hash.update(seed.to_le_bytes());
        hash.update(ids.display(row).as_bytes());
        let digest = hash.finalize();
        let bytes: [u8; 8] = std::array::from_fn(|at| digest[at]);
        // Uniform in [0, 1): the top 53 bits, as many as an f64 holds.
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..ids.len()).map(|row| draw(row) < share).collect()
}

/// Deals out `rows` of one user, oldest first.
fn leave_last_out(log: &Interactions, rows: &[u32], parts: &mut [Part]) {
    let is_click = |&at: &usize| log.is_positive(rows[at] as usize);
    let mut clicks = (0..rows.len()).rev().filter(is_click);
    if let (Some(test), Some(validation), Some(_)) = (clicks.next(), clicks.next(), clicks.next()) {
        rows[validation..test].iter().for_each(|&row| parts[row as usize] = Part::Validation);
        rows[test..].iter().for_each(|&row| parts[row as usize] = Part::Test);
    }
}

/// The first 80 % of `rows` are training, the next 10 % validation, the last 10 % test: cuts at
/// ⌊8n/10⌋ and ⌊9n/10⌋, with at least one row in training.
fn deal_out(rows: &[u32], parts: &mut [Part]) {
    let least = rows.len().min(1);
    let train = (rows.len() * 8 / 10).max(least);
    let validation = (rows.len() * 9 / 10).max(least);
    rows[train..validation].iter().for_each(|&row| parts[row as usize] = Part::Validation);
    rows[validation..].iter().for_each(|&row| parts[row as usize] = Part::Test);
}
