//! What is claimed of two methods.

use serde::{Deserialize, Serialize};

use crate::records::Task;

/// An entry of a plan: two methods of a comparison, a metric, and what is claimed of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub struct Contrast {
    /// The name that the comparison's folder is given under.
    pub comparison: String,
    /// The task.
    pub task: Task,
    /// Its variant; empty where there is one.
    pub variant: String,
    /// A metric that is a mean over users.
    pub metric: String,
    /// The method that the claim is of.
    pub a: String,
    /// The method that it is held against.
    pub b: String,
    /// The claim.
    pub claim: Claim,
}

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Claim {
    /// a is better than b.
    Ahead {
        /// By how much, which is judged beside it.
        by: Option<By>,
    },
    /// a is not worse than b by more than a share of b (non-inferiority).
    NotWorse {
        /// That share, between 0 and 1.
        margin_relative: f64,
    },
}

/// A difference that would matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    /// Of a − b.
    Absolute(f64),
    /// Of (a − b)/b.
    Relative(f64),
}

/// A contrast as it stands in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    comparison: String,
    task: Task,
    #[serde(default)]
    variant: String,
    metric: String,
    a: String,
    b: String,
    #[serde(default)]
    claim: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_relative: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    margin_relative: Option<f64>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Ahead,
    NotWorse,
}

impl TryFrom<Entry> for Contrast {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Contrast, String> {
        let claim = entry.claim()?;
        let Entry { comparison, task, variant, metric, a, b, .. } = entry;
        if a == b {
            return Err(format!("`a` and `b`: expected two methods, found `{a}` twice"));
        }
        Ok(Contrast { comparison, task, variant, metric, a, b, claim })
    }
}

impl Entry {
    fn claim(&self) -> Result<Claim, String> {
        let positive = |key: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(value),
            false => Err(format!("`{key}`: expected a number above 0, found {value}")),
        };
        match (self.claim, self.by, self.by_relative, self.margin_relative) {
            (Kind::Ahead, Some(_), Some(_), _) => {
                Err("`by` and `by_relative`: expected one of them, found both".into())
            }
            (Kind::Ahead, _, _, Some(_)) => {
                Err("`margin_relative`: belongs to claim = \"not-worse\", found \"ahead\"".into())
            }
            (Kind::Ahead, by, by_relative, None) => {
                let by = by.map(|by| positive("by", by).map(By::Absolute));
                let relative = by_relative.map(|by| positive("by_relative", by).map(By::Relative));
                Ok(Claim::Ahead { by: by.or(relative).transpose()? })
            }
            (Kind::NotWorse, None, None, Some(margin)) if margin > 0.0 && margin < 1.0 => {
                Ok(Claim::NotWorse { margin_relative: margin })
            }
            (Kind::NotWorse, None, None, Some(margin)) => {
                Err(format!("`margin_relative`: expected a share between 0 and 1, found {margin}"))
            }
            (Kind::NotWorse, None, None, None) => {
                Err("claim = \"not-worse\": expected a `margin_relative`, found none".into())
            }
            (Kind::NotWorse, ..) => {
                Err("`by` and `by_relative`: belong to claim = \"ahead\", found \"not-worse\""
                    .into())
            }
        }
    }
}

impl From<Contrast> for Entry {
    fn from(contrast: Contrast) -> Entry {
        let Contrast { comparison, task, variant, metric, a, b, claim } = contrast;
        let (kind, by, by_relative, margin_relative) = match claim {
            Claim::Ahead { by: None } => (Kind::Ahead, None, None, None),
            Claim::Ahead { by: Some(By::Absolute(by)) } => (Kind::Ahead, Some(by), None, None),
            Claim::Ahead { by: Some(By::Relative(by)) } => (Kind::Ahead, None, Some(by), None),
            Claim::NotWorse { margin_relative } => {
                (Kind::NotWorse, None, None, Some(margin_relative))
            }
        };
        Entry {
            comparison,
            task,
            variant,
            metric,
            a,
            b,
            claim: kind,
            by,
            by_relative,
            margin_relative,
        }
    }
}
