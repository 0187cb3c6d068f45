//! Settings of the ranker: raw as written, checked once by `check`.

use serde::{Deserialize, Serialize};

use crate::fit::{FitConfig, share, width};
use crate::{Error, Result};

const MAX_CROSS_LAYERS: usize = 16;
const MAX_HISTORY: usize = 10_000;

/// Shape and training of a [`Ranker`](super::Ranker).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankerConfig {
    /// Width of every feature's embedding.
    pub dim: usize,
    /// Width of the attention over the history, a multiple of `heads`.
    pub attention_dim: usize,
    /// Heads of that attention.
    pub heads: usize,
    /// Clicks of the history that are looked at, the newest ones. 0 leaves histories out.
    pub history: usize,
    /// Cross layers (DCN-v2). 0 leaves the cross network out.
    pub cross_layers: usize,
    /// Hidden widths of the deep network beside them. Empty leaves it out.
    pub hidden: Vec<usize>,
    /// Dropout on the embeddings and after each hidden layer of the deep network.
    pub dropout: f32,
    /// Share of the IDs of a batch that are replaced by the unknown ID in training, which is
    /// what an ID that training never saw is given later. On MovieLens 100K 0 to 0.05 do equally
    /// well and 0.2 costs 0.005 of AUC on the global split: known items are dropped too.
    pub id_dropout: f32,
    /// Whether users have an ID embedding.
    pub use_user_ids: bool,
    /// Whether items have an ID embedding, as candidates and in histories.
    pub use_item_ids: bool,
    /// What picks the best epoch.
    pub score: Score,
    /// The training loop.
    pub fit: FitConfig,
}

/// A validation score, higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Area under the ROC curve over all validation rows.
    Auc,
    /// Mean log-likelihood, the negated log loss.
    LogLikelihood,
}

impl Default for RankerConfig {
    fn default() -> RankerConfig {
        RankerConfig {
            dim: 16,
            attention_dim: 32,
            heads: 2,
            history: 50,
            cross_layers: 2,
            hidden: vec![128, 64],
            dropout: 0.1,
            id_dropout: 0.02,
            use_user_ids: true,
            use_item_ids: true,
            score: Score::Auc,
            fit: FitConfig {
                epochs: 8,
                batch_size: 1024,
                learning_rate: 3e-3,
                weight_decay: 0.1,
                patience: 2,
                ..FitConfig::default()
            },
        }
    }
}

impl RankerConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.check_keys().map_err(|error| error.within("ranker"))
    }

    fn check_keys(&self) -> Result<()> {
        width("dim", self.dim)?;
        width("attention_dim", self.attention_dim)?;
        for (at, &hidden) in self.hidden.iter().enumerate() {
            width(&format!("hidden[{at}]"), hidden)?;
        }
        if self.heads == 0 || !self.attention_dim.is_multiple_of(self.heads) {
            let expected = format!("a divisor of attention_dim ({})", self.attention_dim);
            return Err(Error::config("heads", expected, self.heads));
        }
        for (key, value, most) in [
            ("history", self.history, MAX_HISTORY),
            ("cross_layers", self.cross_layers, MAX_CROSS_LAYERS),
        ] {
            if value > most {
                return Err(Error::config(key, format!("at most {most}"), value));
            }
        }
        if self.cross_layers == 0 && self.hidden.is_empty() {
            let expected = "at least one layer where cross_layers is 0";
            return Err(Error::config("hidden", expected, "none"));
        }
        share("dropout", self.dropout)?;
        share("id_dropout", self.id_dropout)?;
        self.fit.check()
    }
}
