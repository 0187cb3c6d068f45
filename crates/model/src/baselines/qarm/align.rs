//! Stage 1: adapters that bring together the content of what is clicked together.

use das_core::clicks::NO_PARTNER;
use das_core::progress::Cancel;
use das_core::streams::stream;
use das_core::{ClickEpoch, Side};
use das_nn::{Params, Tape, Var};
use serde_json::{Value, json};

use super::config::QarmConfig;
use super::neighbours::Neighbours;
use crate::baselines::residual::{Adapter, layers_name};
use crate::batch::SideBatch;
use crate::codebooks::float_map;
use crate::layers::Mlp;
use crate::method::{Inputs, Run};
use crate::train::{Objective, StepTerms};
use crate::{Batch, BatchBuilder, ModelConfig, Result, Sides};

/// In-batch contrast of clicked items with other items of the same user (u2i: trigger → target)
/// and with similar items (i2i), and of users with others who clicked the same item.
pub(super) struct Alignment<'a> {
    config: QarmConfig,
    /// The contrastive options of all terms.
    contrast: ModelConfig,
    params: Params,
    /// `[user, item]`.
    adapters: [Mlp; 2],
    inputs: Inputs<'a>,
    seed: u64,
    clicks: Pairs<'a>,
    /// None where the i2i term is off.
    similar: Option<(Neighbours, Pairs<'a>)>,
}

/// An epoch of clicks with partners, and batches of it.
struct Pairs<'a> {
    builder: BatchBuilder<'a>,
    epoch: ClickEpoch,
}

/// The clicks of a step: with co-click partners, and with similar items as partners.
pub(super) struct Step {
    clicks: Batch,
    similar: Option<Batch>,
}

impl<'a> Alignment<'a> {
    /// Fresh adapters, which leave content as it is.
    pub(super) fn new(config: &QarmConfig, run: &Run<'a>, cancel: &Cancel) -> Result<Self> {
        let inputs = run.inputs;
        let mut params = Params::new(run.device);
        let mut register = |side: Side| {
            let dim = inputs.content[side as usize].dim();
            register_adapter(&mut params, side, dim, &config.hidden, run.seed)
        };
        let adapters = [register(Side::User)?, register(Side::Item)?];
        let pairs = |sides| Pairs {
            builder: BatchBuilder::new(inputs.clicks, inputs.content, &config.pairs(sides)),
            epoch: ClickEpoch::default(),
        };
        let similar = match config.i2i_weight > 0.0 {
            true => Some((Neighbours::new(inputs.clicks, config, cancel)?, pairs(Sides::Item))),
            false => None,
        };
        Ok(Alignment {
            contrast: config.pairs(Sides::Both),
            config: config.clone(),
            params,
            adapters,
            inputs,
            seed: run.seed,
            clicks: pairs(Sides::Both),
            similar,
        })
    }

    /// The adapter of `side` as it stands.
    pub(super) fn adapter(&self, side: Side) -> Result<Adapter> {
        Adapter::take(&mut float_map(&self.params.to_tensors()), side, true)
    }

    /// The contrast of a side's entities with their partners.
    fn contrast(&self, tape: &mut Tape<'_>, side: Side, batch: &SideBatch) -> Option<Var> {
        let partners = batch.partners.as_ref()?;
        let options = partners.contrast(&self.contrast);
        let content = tape.input_slice(batch.rows, batch.content_dim(), &batch.content);
        let moves = self.adapters[side as usize].forward(tape, content);
        let moved = tape.add(content, moves);
        let vectors = tape.normalize(moved);
        let entities = tape.select_rows(vectors, &batch.anchors);
        let others = tape.select_rows(vectors, &partners.positions);
        Some(tape.info_nce(entities, others, &options))
    }
}

impl Objective for Alignment<'_> {
    type Batch = Step;

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.inputs.clicks.num_clicks() / self.config.batch_size) as u64
    }

    fn begin_epoch(&mut self, epoch: u64) {
        self.clicks.epoch = ClickEpoch::default();
        self.clicks.epoch = self.inputs.clicks.epoch(self.seed, epoch);
        if let Some((neighbours, pairs)) = &mut self.similar {
            let mut rng = stream(self.seed, "qarm/similar items", epoch);
            pairs.epoch.clone_from(&self.clicks.epoch);
            let items = pairs.epoch.items.iter();
            pairs.epoch.co_items =
                items.map(|&item| neighbours.draw(item, &mut rng).unwrap_or(NO_PARTNER)).collect();
        }
    }

    fn batch(&mut self, at: u64) -> Step {
        let start = at as usize * self.config.batch_size;
        let range = start..start + self.config.batch_size;
        let build = |pairs: &mut Pairs<'_>| pairs.builder.build(&pairs.epoch, range.clone());
        Step {
            clicks: build(&mut self.clicks),
            similar: self.similar.as_mut().map(|(_, pairs)| build(pairs)),
        }
    }

    fn loss(&self, tape: &mut Tape<'_>, step: &Step, _quantize: bool) -> StepTerms {
        let similar = step.similar.as_ref().map(|batch| &batch.item);
        let mut terms = StepTerms::default();
        for (name, weight, side, batch) in [
            ("u2u", 1.0, Side::User, Some(&step.clicks.user)),
            ("u2i", 1.0, Side::Item, Some(&step.clicks.item)),
            ("i2i", self.config.i2i_weight, Side::Item, similar),
        ] {
            if let Some(value) = batch.and_then(|batch| self.contrast(tape, side, batch)) {
                terms.add(name, weight, value);
            }
        }
        terms
    }

    fn identity(&self) -> Value {
        json!({ "qarm": self.config })
    }
}

/// Registers an adapter whose last layer is 0, so that training starts at the content itself.
fn register_adapter(
    params: &mut Params,
    side: Side,
    dim: usize,
    hidden: &[usize],
    seed: u64,
) -> Result<Mlp> {
    let name = layers_name(side);
    let widths: Vec<usize> = [dim].iter().chain(hidden).chain(&[dim]).copied().collect();
    let mlp = Mlp::new(params, &name, &widths, &mut stream(seed, &format!("qarm/{side}"), 0))?;
    let last = format!("{name}.{}.", hidden.len());
    for id in params.ids().filter(|&id| params.name(id).starts_with(&last)).collect::<Vec<_>>() {
        let (rows, cols) = params.get(id).shape();
        params.set(id, &vec![0.0; rows * cols])?;
    }
    Ok(mlp)
}
