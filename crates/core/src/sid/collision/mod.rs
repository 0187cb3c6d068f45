//! Telling apart the entities to which a tokenizer gave the same learned codes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Buckets, SidLayout, SidTable};
use crate::{Error, Result};

mod extend;
mod greedy;
mod sinkhorn;
mod suffix;

pub use extend::{extend, nearest_free};
pub use sinkhorn::SinkhornConfig;

/// What is done about equal IDs. It is part of the layout, so that every consumer knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CollisionPolicy {
    /// Nothing: an ID may belong to several entities.
    None,
    /// One more digit: within a bucket of equal learned codes the entities are numbered 0, 1,
    /// 2, … in entity order (the order of the item or user table). 0 therefore also means
    /// "alone". Its width is the size of the largest bucket.
    #[default]
    Suffix,
    /// The last level is given out again: in each group of equal codes before it, the entity
    /// nearest to a code keeps it and the others take the nearest code that is free.
    Greedy,
    /// The last level is given out again by optimal transport, after LETTER (arXiv:2405.07314).
    Sinkhorn,
}

impl CollisionPolicy {
    /// Whether it gives out the last level's codes anew, among the vectors that these stand for.
    pub fn reassigns(self) -> bool {
        matches!(self, CollisionPolicy::Greedy | CollisionPolicy::Sinkhorn)
    }
}

/// The policy with its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollisionConfig {
    /// What is done.
    pub policy: CollisionPolicy,
    /// Used by [`CollisionPolicy::Sinkhorn`] only.
    pub sinkhorn: SinkhornConfig,
}

impl CollisionConfig {
    /// Refuses settings that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        let SinkhornConfig { epsilon, iterations, rounds } = self.sinkhorn;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::Invalid(format!(
                "config key `collision.sinkhorn.epsilon`: expected a number above 0, found {epsilon}"
            )));
        }
        for (key, value) in [("iterations", iterations), ("rounds", rounds)] {
            if value == 0 {
                return Err(Error::Invalid(format!(
                    "config key `collision.sinkhorn.{key}`: expected at least 1, found 0"
                )));
            }
        }
        Ok(())
    }
}

impl CollisionPolicy {
    /// All policies.
    pub const ALL: [CollisionPolicy; 4] = [
        CollisionPolicy::None,
        CollisionPolicy::Suffix,
        CollisionPolicy::Greedy,
        CollisionPolicy::Sinkhorn,
    ];

    /// The name in configs, manifests and messages.
    pub fn name(self) -> &'static str {
        match self {
            CollisionPolicy::None => "none",
            CollisionPolicy::Suffix => "suffix",
            CollisionPolicy::Greedy => "greedy",
            CollisionPolicy::Sinkhorn => "sinkhorn",
        }
    }
}

impl fmt::Display for CollisionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CollisionPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<CollisionPolicy> {
        CollisionPolicy::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| {
            let names = CollisionPolicy::ALL.map(CollisionPolicy::name).join(", ");
            Error::Invalid(format!("collision policy {text:?}, expected one of {names}"))
        })
    }
}

/// What the last learned level was chosen from; greedy and Sinkhorn choose again.
#[derive(Clone, Copy, Debug)]
pub struct LastLevel<'a> {
    residuals: &'a [f32],
    codebook: &'a [f32],
    dim: usize,
}

impl<'a> LastLevel<'a> {
    /// `residuals` `[rows, dim]` as they reach the last level, `codebook` `[codes, dim]`; all
    /// finite.
    pub fn new(residuals: &'a [f32], codebook: &'a [f32], dim: usize) -> Result<LastLevel<'a>> {
        for (name, values) in [("residuals", residuals), ("codebook", codebook)] {
            if dim == 0 || !values.len().is_multiple_of(dim) {
                return Err(Error::Invalid(format!(
                    "{} {name} values cannot be rows of width {dim}",
                    values.len()
                )));
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::Invalid(format!(
                    "{name} row {} holds {}, expected finite values",
                    at / dim,
                    values[at]
                )));
            }
        }
        Ok(LastLevel { residuals, codebook, dim })
    }

    fn check(&self, learned: &SidTable) -> Result<()> {
        let (rows, codes) = (self.residuals.len() / self.dim, self.num_codes());
        let expected = learned.layout().codebook_sizes().last().copied().unwrap_or(0) as usize;
        if rows != learned.len() || codes != expected {
            return Err(Error::Invalid(format!(
                "last level of {rows} residuals and {codes} codes, expected {} and {expected}",
                learned.len()
            )));
        }
        Ok(())
    }

    /// Squared distance of a row to a code.
    fn distance(&self, row: u32, code: usize) -> f64 {
        let residual = &self.residuals[row as usize * self.dim..][..self.dim];
        let code = &self.codebook[code * self.dim..][..self.dim];
        residual.iter().zip(code).map(|(r, c)| (f64::from(*r) - f64::from(*c)).powi(2)).sum()
    }

    fn num_codes(&self) -> usize {
        self.codebook.len() / self.dim
    }
}

/// How many IDs are shared, over the whole ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collisions {
    /// Entities.
    pub entities: usize,
    /// Different IDs.
    pub unique: usize,
    /// Entities whose ID is not theirs alone.
    pub colliding: usize,
    /// Entities on the most shared ID.
    pub largest_bucket: usize,
}

impl Collisions {
    /// Counts them in `table`.
    pub fn of(table: &SidTable) -> Collisions {
        Collisions::of_buckets(table.len(), &table.buckets(table.layout().num_digits()))
    }

    fn of_buckets(entities: usize, buckets: &Buckets) -> Collisions {
        let alone = buckets.iter().filter(|rows| rows.len() == 1).count();
        Collisions {
            entities,
            unique: buckets.len(),
            colliding: entities - alone,
            largest_bucket: buckets.largest(),
        }
    }

    /// (N − unique)/N, 0 for no entities.
    pub fn rate(&self) -> f64 {
        (self.entities - self.unique) as f64 / self.entities.max(1) as f64
    }
}

/// IDs after a policy, with what it changed.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The IDs; their layout names the policy.
    pub table: SidTable,
    /// Collisions of the learned codes.
    pub before: Collisions,
    /// Collisions left; 0 entities collide after [`CollisionPolicy::Suffix`].
    pub after: Collisions,
    /// Entities whose learned codes changed.
    pub moved: usize,
}

/// Applies `policy` to learned codes. The first `num_levels − 1` codes never change.
///
/// `last_level` is needed by greedy and Sinkhorn only, `sinkhorn` by Sinkhorn only.
pub fn resolve(
    learned: &SidTable,
    policy: CollisionPolicy,
    last_level: Option<LastLevel<'_>>,
    sinkhorn: &SinkhornConfig,
) -> Result<Resolved> {
    if learned.layout().collision() != CollisionPolicy::None {
        let found = learned.layout().collision();
        return Err(Error::Invalid(format!("collisions are already resolved by `{found}`")));
    }
    let last_level = || needed(last_level, policy, learned);
    let before = Collisions::of(learned);
    let table = match policy {
        CollisionPolicy::None => learned.clone(),
        CollisionPolicy::Suffix => suffix::resolve(learned)?,
        CollisionPolicy::Greedy => greedy::resolve(learned, &last_level()?)?,
        CollisionPolicy::Sinkhorn => sinkhorn::resolve(learned, &last_level()?, sinkhorn)?,
    };
    let levels = learned.layout().num_levels();
    let moved = learned.rows().zip(table.rows()).filter(|(a, b)| *a != &b[..levels]).count();
    Ok(Resolved { before, after: Collisions::of(&table), moved, table })
}

/// The last level of `learned`, where `policy` cannot do without.
fn needed<'a>(
    last: Option<LastLevel<'a>>,
    policy: CollisionPolicy,
    learned: &SidTable,
) -> Result<LastLevel<'a>> {
    let last = last.ok_or_else(|| {
        Error::Invalid(format!("policy `{policy}` needs the last level's residuals"))
    })?;
    last.check(learned).map(|()| last)
}

/// `learned` with other codes on its last level, under `policy`.
fn with_last_codes(learned: &SidTable, policy: CollisionPolicy, last: &[u32]) -> Result<SidTable> {
    let levels = learned.layout().num_levels();
    let sizes = learned.layout().codebook_sizes().to_vec();
    let mut codes = learned.codes().to_vec();
    codes.iter_mut().skip(levels - 1).step_by(levels).zip(last).for_each(|(code, l)| *code = *l);
    SidTable::new(SidLayout::new(sizes, policy, None)?, codes)
}

#[cfg(test)]
mod tests;
