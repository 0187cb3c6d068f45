//! DAS as an objective of the trainer: one stage, or two under `model.frozen_cf`.

use das_core::progress::Cancel;
use das_core::{ClickEpoch, RowMatrix, Side};
use das_nn::safetensors_io::NamedTensor;
use das_nn::{Params, Tape};
use serde_json::{Value, json};

use crate::icdm::PopularityFeatures;
use crate::method::{Inputs, Run, Trained};
use crate::tokenizer::no_side;
use crate::train::{
    Finished, Objective, Observer, Position, Quantizer, Stage, StepTerms, train_stage,
};
use crate::uism::AroundLatents;
use crate::{
    Batch, BatchBuilder, Das, Error, ModelConfig, NeuralTokenizer, Phase, Result, SideEncoder,
    Standard, TrainConfig,
};

/// The ID embeddings of the collaborative model in an artifact, for probing.
const ICDM_FILE: &str = "icdm.safetensors";

/// Trains DAS.
pub(crate) fn train(
    model: &ModelConfig,
    config: &TrainConfig,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    model.check()?;
    check_batch("train.batch_size", config.batch_size, &run.inputs)?;
    let new = |phase| DasObjective::new(model, config, run, phase);
    let start = Position::default();
    let (objective, from) = if model.frozen_cf {
        let stage = Stage { run, config, name: Some("cf"), from: start };
        let first = train_stage(new(Phase::Collaborative)?, stage, observer, cancel)?;
        let mut objective = new(Phase::Frozen)?;
        objective.params_mut().load_tensors(&first.objective.params().to_tensors())?;
        (objective, first.position)
    } else {
        (new(Phase::Joint)?, start)
    };
    let stage = Stage { run, config, name: None, from };
    let Finished { objective, validation, position } =
        train_stage(objective, stage, observer, cancel)?;
    let icdm = objective.icdm_tensors();
    let extra = if icdm.is_empty() { Vec::new() } else { vec![(ICDM_FILE.to_string(), icdm)] };
    Ok(Trained {
        tokenizer: Box::new(objective.das.tokenizer()?),
        extra,
        validation,
        epochs: position.epochs,
        steps: position.steps,
    })
}

/// Trains the ID embeddings of `model` alone on clicks and returns those of `[users, items]`,
/// row-major and of any length, with where the next stage begins.
pub(crate) fn collaborative_tables(
    model: &ModelConfig,
    stage: Stage<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<([Vec<f32>; 2], Position)> {
    let objective = DasObjective::new(model, stage.config, stage.run, Phase::Collaborative)?;
    let Finished { objective, position, .. } = train_stage(objective, stage, observer, cancel)?;
    let params = objective.das.params();
    let tables = Side::BOTH.map(|side| {
        let [unbiased, _] = crate::table_names(side);
        let id = params.id(unbiased).expect("the collaborative model took part");
        params.get(id).to_vec()
    });
    Ok((tables, position))
}

/// Refuses a batch of more clicks than there are.
pub(crate) fn check_batch(key: &str, batch_size: usize, inputs: &Inputs<'_>) -> Result<()> {
    let clicks = inputs.clicks.num_clicks();
    if batch_size > clicks {
        return Err(Error::config(
            key,
            format!("at most the {clicks} training clicks"),
            batch_size,
        ));
    }
    Ok(())
}

/// How the content of `[users, items]` is met.
fn standards(model: &ModelConfig, content: [&dyn RowMatrix; 2]) -> Result<[Standard; 2]> {
    let standard = |content: &dyn RowMatrix| match model.standardize {
        true => Standard::of(content),
        false => Ok(Standard::none(content.views())),
    };
    let [users, items] = content;
    Ok([standard(users)?, standard(items)?])
}

impl Das {
    /// The tokenizers as they stand.
    pub(crate) fn tokenizer(&self) -> Result<NeuralTokenizer> {
        NeuralTokenizer::new("das", [self.encoder(Side::User)?, self.encoder(Side::Item)?])
    }
}

/// One phase of DAS on clicks.
struct DasObjective<'a> {
    das: Das,
    phase: Phase,
    /// Whether the present epoch is one of those before ID embeddings teach.
    warming: bool,
    teach_after: u64,
    batch_size: usize,
    inputs: Inputs<'a>,
    seed: u64,
    builder: BatchBuilder<'a>,
    epoch: ClickEpoch,
}

impl<'a> DasObjective<'a> {
    fn new(
        model: &ModelConfig,
        config: &TrainConfig,
        run: &Run<'a>,
        phase: Phase,
    ) -> Result<DasObjective<'a>> {
        let inputs = run.inputs;
        let popularity = Side::BOTH.map(|side| PopularityFeatures::new(inputs.clicks, side));
        let content = standards(model, inputs.content)?;
        let builder = BatchBuilder::new(inputs.clicks, inputs.content, model);
        Ok(DasObjective {
            das: Das::new(run.device, model, content, popularity, run.seed)?,
            phase,
            warming: false,
            teach_after: u64::from(config.teach_after),
            batch_size: config.batch_size,
            inputs,
            seed: run.seed,
            builder: match phase {
                Phase::Collaborative => builder.without_content(),
                Phase::Joint | Phase::WarmUp | Phase::Frozen => builder,
            },
            epoch: ClickEpoch::default(),
        })
    }

    /// The ID embeddings; empty where ICDM took no part.
    fn icdm_tensors(&self) -> Vec<NamedTensor> {
        let tables = Side::BOTH.map(crate::table_names);
        let mut tensors = self.das.params().to_tensors();
        tensors.retain(|tensor| tables.as_flattened().contains(&tensor.name.as_str()));
        tensors
    }
}

impl Objective for DasObjective<'_> {
    type Batch = Batch;

    fn params(&self) -> &Params {
        self.das.params()
    }

    fn params_mut(&mut self) -> &mut Params {
        self.das.params_mut()
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.inputs.clicks.num_clicks() / self.batch_size) as u64
    }

    fn begin_epoch(&mut self, epoch: u64) {
        self.warming = self.phase == Phase::Joint && epoch < self.teach_after;
        // The last one goes before the next is drawn: a log of both is a log too many.
        self.epoch = ClickEpoch::default();
        self.epoch = self.inputs.clicks.epoch(self.seed, epoch);
    }

    fn batch(&mut self, at: u64) -> Batch {
        let start = at as usize * self.batch_size;
        self.builder.build(&self.epoch, start..start + self.batch_size)
    }

    fn loss(&self, tape: &mut Tape<'_>, batch: &Batch, quantize: bool) -> StepTerms {
        let phase = if self.warming { Phase::WarmUp } else { self.phase };
        self.das.forward(tape, batch, phase, quantize)
    }

    fn encoder(&self, side: Side) -> Result<SideEncoder> {
        self.das.encoder(side)?.ok_or_else(|| no_side("das", side))
    }

    fn quantizers(&self) -> Vec<Quantizer<'_>> {
        if self.phase == Phase::Collaborative {
            return Vec::new();
        }
        let quantizer = |(side, content)| {
            let codebooks = self.das.codebooks(side);
            (!codebooks.is_empty()).then_some(Quantizer { side, codebooks, content })
        };
        Side::BOTH.into_iter().zip(self.inputs.content).filter_map(quantizer).collect()
    }

    fn around_latents(&self, side: Side) -> Option<AroundLatents> {
        self.das.around_latents(side)
    }

    fn tokenizer(&self) -> Result<Option<NeuralTokenizer>> {
        match self.phase {
            Phase::Collaborative => Ok(None),
            Phase::Joint | Phase::WarmUp | Phase::Frozen => self.das.tokenizer().map(Some),
        }
    }

    fn identity(&self) -> Value {
        json!({ "das": self.das.config(), "phase": format!("{:?}", self.phase) })
    }
}
