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
    /// Sequence models for as long as more epochs paid on Amazon Beauty; the ranker, which stops
    /// early by itself, as in `standard`.
    Full,
}

/// What the recommenders of a comparison are and may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The generative retriever and its training.
    pub retriever: RetrieverConfig,
    /// SASRec and its training.
    pub sasrec: SasRecConfig,
    /// The ranker and its training.
    pub ranker: RankerConfig,
    /// How retrieval is asked.
    pub search: Search,
}

/// The questions of next-item retrieval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Test queries, evenly spread over users; 0 takes all.
    pub queries: usize,
    /// Width of the beam search that answers them.
    pub beam: usize,
    /// Answers by exact search instead.
    pub exact: bool,
}

impl Budget {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.retriever.check()?;
        self.sasrec.check()?;
        self.ranker.check()?;
        if self.search.beam == 0 {
            let message = "config key `search.beam`: expected at least 1, found 0";
            return Err(Error::Invalid(message.into()));
        }
        Ok(())
    }
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

    /// What a comparison under it may cost.
    pub fn budget(self) -> Budget {
        let mut budget = Budget {
            retriever: RetrieverConfig::default(),
            sasrec: SasRecConfig::default(),
            ranker: RankerConfig::default(),
            search: Search { queries: 0, beam: 50, exact: false },
        };
        let [of_retriever, of_sasrec] = match self {
            Preset::Quick => [3, 4],
            Preset::Standard => [20, 12],
            Preset::Full => [40, 24],
        };
        self.limit(&mut budget.retriever.fit, of_retriever);
        self.limit(&mut budget.sasrec.fit, of_sasrec);
        if self == Preset::Quick {
            self.limit(&mut budget.ranker.fit, 4);
            budget.search.queries = 5000;
        }
        budget
    }

    /// Sets the epochs. The learning rate falls over all of them, so a shorter budget is a whole
    /// training and not the head of a longer one.
    fn limit(self, fit: &mut FitConfig, epochs: u32) {
        fit.epochs = epochs;
        fit.validate_every = if self == Preset::Full { 2 } else { 1 };
        // Validation of a retriever stands still for some epochs and then rises again.
        fit.patience = 8;
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
