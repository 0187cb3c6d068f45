//! Budgets: what a run may cost.
//!
//! Budgets count epochs and queries, not seconds, so that equal seeds give equal figures on any
//! machine.

use std::fmt;
use std::str::FromStr;

use das_recommend::fit::FitConfig;
use das_recommend::ranker::RankerConfig;
use das_recommend::{RetrieverConfig, SasRecConfig};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How much a comparison may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Minutes for everything: does it run, and is a difference large?
    Quick,
    /// An hour or two for everything.
    #[default]
    Standard,
    /// Every recommender until its validation stops rising.
    Full,
}

/// The budget of next-item retrieval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrievalBudget {
    /// The generative retriever and its training.
    pub retriever: RetrieverConfig,
    /// SASRec and its training.
    pub sasrec: SasRecConfig,
    /// Test queries, evenly spread over users; 0 takes all.
    pub test_queries: usize,
    /// Width of the beam search that answers them.
    pub beam: usize,
    /// Answers by exact search instead.
    pub exact: bool,
}

impl Preset {
    /// All presets, cheapest first.
    pub const ALL: [Preset; 3] = [Preset::Quick, Preset::Standard, Preset::Full];

    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Quick => "quick",
            Preset::Standard => "standard",
            Preset::Full => "full",
        }
    }

    /// The budget of `generative` and `cold`.
    pub fn retrieval(self) -> RetrievalBudget {
        let (mut retriever, mut sasrec) = (RetrieverConfig::default(), SasRecConfig::default());
        let [of_retriever, of_sasrec] = match self {
            Preset::Quick => [3, 4],
            Preset::Standard => [12, 16],
            Preset::Full => [60, 80],
        };
        self.limit(&mut retriever.fit, of_retriever);
        self.limit(&mut sasrec.fit, of_sasrec);
        let test_queries = if self == Preset::Quick { 5000 } else { 0 };
        RetrievalBudget { retriever, sasrec, test_queries, beam: 50, exact: false }
    }

    /// The budget of `ctr`.
    pub fn ranker(self) -> RankerConfig {
        let mut ranker = RankerConfig::default();
        if self == Preset::Quick {
            self.limit(&mut ranker.fit, 4);
        }
        ranker
    }

    /// Sets the epochs. The learning rate falls over all of them, so a shorter budget is a whole
    /// training and not the head of a longer one.
    fn limit(self, fit: &mut FitConfig, epochs: u32) {
        fit.epochs = epochs;
        fit.validate_every = if self == Preset::Full { 2 } else { 1 };
        fit.patience = if self == Preset::Full { 5 } else { 3 };
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let known = Preset::ALL.map(Preset::name).join(", ");
            Error::Invalid(format!("unknown preset `{name}`, expected one of {known}"))
        })
    }
}
