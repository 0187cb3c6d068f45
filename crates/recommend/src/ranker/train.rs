//! Training: clicks against impressions without a click.

use das_core::checkpoints::CheckpointStore;
use das_core::metrics::binary;
use das_core::progress::{Cancel, Progress};
use das_nn::safetensors_io::NamedTensor;
use das_nn::{Device, Params, Tape, Var};
use rand_chacha::ChaCha8Rng;

use super::Ranker;
use super::batch::BatchBuilder;
use super::builder::Builder;
use super::config::{RankerConfig, Score};
use super::features::Features;
use super::impressions::Impressions;
use super::schema::{IdRows, Schema};
use crate::Result;
use crate::digest::InputDigest;
use crate::fit::{FitConfig, FitReport, Learner, fit};

impl Ranker {
    /// Trains a ranker on the rows of `train` and keeps the epoch that scores best on
    /// `validation`. IDs that occur in no training row or history share the unknown ID.
    ///
    /// With a `store`, a checkpoint is written after every epoch, and a training that was cut
    /// off goes on from the newest to the same bits.
    ///
    /// # Errors
    /// If a setting cannot work, rows do not fit `features` or each other, either log lacks one
    /// of the two labels, the loss diverges, a file cannot be written, or `cancel` was requested.
    #[allow(clippy::too_many_arguments)]
    pub fn train(
        device: &Device,
        features: &Features,
        train: &Impressions,
        validation: &Impressions,
        config: &RankerConfig,
        seed: u64,
        store: Option<&CheckpointStore>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(Ranker, FitReport)> {
        config.check()?;
        for (part, impressions) in [("training", train), ("validation", validation)] {
            impressions.check(features)?;
            impressions.check_labels(part)?;
        }
        let schema = Schema::of(features, train);
        schema.check(&Schema::of(features, validation))?;
        let id_rows = id_rows(features, train);
        let ranker = Ranker::new(Builder::fresh(device, seed), schema, config, id_rows)?;
        let mut training = Training { ranker, features, train, validation };
        let report = fit(&mut training, &config.fit, seed, store, progress, cancel)?;
        Ok((training.ranker, report))
    }
}

/// Rows of the ID tables for the `[users, items]` that training sees.
fn id_rows(features: &Features, train: &Impressions) -> [IdRows; 2] {
    let clicked = train.histories().items().iter();
    let items = train.items().iter().chain(clicked).copied();
    [
        IdRows::new(features.num_users, train.users().iter().copied()),
        IdRows::new(features.num_items, items),
    ]
}

/// A ranker in training.
pub(crate) struct Training<'a> {
    ranker: Ranker,
    features: &'a Features,
    train: &'a Impressions,
    validation: &'a Impressions,
}

impl<'a> Training<'a> {
    /// A training that begins from `weights`, with a row for every user and item. It validates on
    /// what it learns from.
    ///
    /// # Errors
    /// If a setting cannot work, `train` does not fit `features`, or `weights` are not those of
    /// such a ranker.
    pub(crate) fn from_weights(
        device: &Device,
        features: &'a Features,
        train: &'a Impressions,
        config: &RankerConfig,
        weights: &[NamedTensor],
    ) -> Result<Training<'a>> {
        config.check()?;
        train.check(features)?;
        let all = |count: usize| IdRows::new(count, 0..count as u32);
        let id_rows = [features.num_users, features.num_items].map(all);
        let schema = Schema::of(features, train);
        let ranker = Ranker::new(Builder::saved(device, weights), schema, config, id_rows)?;
        Ok(Training { ranker, features, train, validation: train })
    }
}

impl Learner for Training<'_> {
    fn params(&self) -> &Params {
        &self.ranker.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.ranker.params
    }

    fn num_examples(&self) -> usize {
        self.train.len()
    }

    fn begin_epoch(&mut self, _seed: u64, _epoch: u64) {}

    fn loss(&self, tape: &mut Tape<'_>, examples: &[u32], rng: &mut ChaCha8Rng) -> Var {
        let Ranker { config, user_rows, item_rows, model, .. } = &self.ranker;
        let builder = BatchBuilder {
            features: self.features,
            impressions: self.train,
            user_rows,
            item_rows,
            history: config.history,
            item_multiple: 1,
        };
        let mut batch = builder.build(examples);
        batch.drop_ids(config.id_dropout, rng);
        let logits = model.forward(tape, &batch, rng);
        tape.bce_with_logits(logits, &batch.labels, None)
    }

    fn fingerprint(&self) -> String {
        let Ranker { config, schema, .. } = &self.ranker;
        let config = RankerConfig { fit: FitConfig::default(), ..config.clone() };
        let mut digest = InputDigest::new(&(config, schema));
        self.features.digest(&mut digest);
        self.train.digest(&mut digest);
        self.validation.digest(&mut digest);
        digest.finish()
    }

    fn validate(&mut self, progress: &dyn Progress, cancel: &Cancel) -> Result<f64> {
        let logits = self.ranker.predict(self.features, self.validation, progress, cancel)?;
        let labels = self.validation.labels();
        Ok(match self.ranker.config.score {
            Score::Auc => binary::auc(&logits, labels).expect("both labels occur"),
            Score::LogLikelihood => -binary::log_loss(&logits, labels),
        })
    }
}
