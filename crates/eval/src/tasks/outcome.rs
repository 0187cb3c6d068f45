//! What a task hands back.

use std::collections::BTreeMap;

use das_recommend::fit::FitReport;

use crate::records::{CurvePoint, Decile, PerUser, Seconds};

/// The figures of one run, before it is known under which name they are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Metrics by name, e.g. `recall@10`.
    pub metrics: BTreeMap<String, f64>,
    /// The same by training popularity.
    pub deciles: Vec<Decile>,
    /// How the recommender's training went.
    pub curve: Vec<CurvePoint>,
    /// Wall time.
    pub seconds: Seconds,
    /// Each user's figures; empty where the task has none.
    pub per_user: PerUser,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Notes how a recommender was trained.
    pub(super) fn set_training(&mut self, report: FitReport) {
        self.curve = report.curve;
        self.seconds.train = report.seconds;
        self.notes.extend(report.warnings);
    }

    /// Notes a metric; one that is undefined is left out.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.metrics.insert(name.into(), value);
        }
    }
}
