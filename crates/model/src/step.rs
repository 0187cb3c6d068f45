//! The joint objective of one step: L = L_sem + α·L_cf + β·L_align.

use das_core::Side;
use das_nn::{Device, InfoNce, ParamId, Params, Tape, Var};

use crate::Result;
use crate::SideEncoder;
use crate::batch::Batch;
use crate::config::{Direction, ModelConfig, TokenizerConfig};
use crate::icdm::{Icdm, PopularityFeatures};
use crate::mdam;
use crate::standard::Standard;
use crate::terms::Term;
use crate::train::StepTerms;
use crate::uism::{AroundLatents, Uism, UismConfig};

/// The DAS model: parameters of both tokenizers and, where it takes part, of the ICDM.
#[derive(Debug)]
pub struct Das {
    config: ModelConfig,
    params: Params,
    tokenizers: [Option<Uism>; 2],
    icdm: Option<Icdm>,
}

/// What part of the objective a step takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// All of it: one stage.
    #[default]
    Joint,
    /// All but the alignments with ID embeddings, which learn from clicks first.
    WarmUp,
    /// L_cf alone: the first of two stages.
    Collaborative,
    /// The rest, with the ID-based model as it stands: the second of two stages.
    Frozen,
}

impl ModelConfig {
    fn uism(&self, side: Side) -> UismConfig {
        let TokenizerConfig { hidden, codebook_sizes } = self.tokenizer(side).clone();
        UismConfig {
            hidden,
            codebook_sizes,
            code_dim: self.code_dim,
            commitment_weight: self.commitment_weight,
            reduction: self.reduction,
            fusion: self.fusion,
            adapter_rank: self.adapter_rank,
            straight_to_codes: self.align_codes,
        }
    }

    /// What all contrastive terms share.
    pub(crate) fn info_nce<'a>(&self) -> InfoNce<'a> {
        InfoNce {
            temperature: self.temperature,
            direction: match self.direction {
                Direction::Both => das_nn::Direction::Both,
                Direction::RowToColumn => das_nn::Direction::RowToColumn,
            },
            mask: None,
            log_q: None,
            log_q_rows: None,
            row_weights: None,
        }
    }
}

impl Das {
    /// A freshly initialised model. `content` says how content vectors are met; it and `popularity`
    /// are `[users, items]`, and the latter also tell how many rows the ID tables have.
    pub fn new(
        device: &Device,
        config: &ModelConfig,
        content: [Standard; 2],
        popularity: [PopularityFeatures; 2],
        seed: u64,
    ) -> Result<Das> {
        config.check()?;
        let mut params = Params::new(device);
        let rng = |part: &str| das_core::streams::stream(seed, part, 0);
        let mut tokenizers = [None, None];
        for ((side, standard), tokenizer) in
            Side::BOTH.into_iter().zip(content).zip(&mut tokenizers)
        {
            if config.sides.contain(side) {
                let mut rng = rng(&format!("{side} tokenizer"));
                *tokenizer =
                    Some(Uism::new(&mut params, side, standard, config.uism(side), &mut rng)?);
            }
        }
        let icdm = if config.uses_icdm() {
            Some(Icdm::new(&mut params, popularity, config, &mut rng("icdm"))?)
        } else {
            None
        };
        Ok(Das { config: config.clone(), params, tokenizers, icdm })
    }

    /// The settings it was built with.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// All parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// All parameters, to be stepped or loaded.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The codebooks of `side`, coarse level first; none where it has no tokenizer.
    pub fn codebooks(&self, side: Side) -> &[ParamId] {
        self.tokenizers[side as usize].as_ref().map_or(&[], Uism::codebooks)
    }

    /// The parameters around the latent vectors of `side`. Alignments take vectors of length 1, so nothing else
    /// depends on the length of these.
    pub(crate) fn around_latents(&self, side: Side) -> Option<AroundLatents> {
        self.tokenizers[side as usize].as_ref().map(Uism::around_latents)
    }

    /// The encoder of `side` as it stands, for content as it is; none where it has no tokenizer.
    pub fn encoder(&self, side: Side) -> Result<Option<SideEncoder>> {
        let encoder = |uism: &Uism| SideEncoder::standardized(&self.params, side, uism.standard());
        self.tokenizers[side as usize].as_ref().map(encoder).transpose()
    }

    /// Records the forward pass of `batch` and returns its terms. With `quantize` off, vectors
    /// pass the tokenizers unquantized (the first epochs).
    pub fn forward(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        phase: Phase,
        quantize: bool,
    ) -> StepTerms {
        let mut terms = DasTerms { config: &self.config, terms: StepTerms::default() };
        let quantized = match phase {
            Phase::Collaborative => [None, None],
            Phase::Joint | Phase::WarmUp | Phase::Frozen => {
                self.tokenize(tape, batch, quantize, &mut terms)
            }
        };
        let teachers = self.icdm.as_ref().map(|icdm| match phase {
            Phase::Frozen => icdm.frozen(tape, batch),
            Phase::Joint | Phase::WarmUp | Phase::Collaborative => {
                icdm.forward(tape, batch, &mut terms)
            }
        });
        if self.config.beta > 0.0 {
            let teachers = teachers.filter(|_| phase != Phase::WarmUp);
            mdam::align(tape, batch, quantized, teachers.as_ref(), &mut terms);
        }
        terms.terms
    }

    /// Adds the terms of L_sem and returns the quantized vectors of each side with a tokenizer.
    fn tokenize(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        quantize: bool,
        terms: &mut DasTerms<'_>,
    ) -> [Option<Var>; 2] {
        let sides = [
            (&self.tokenizers[0], &batch.user, [Term::RecU, Term::RqU, Term::AdaptU]),
            (&self.tokenizers[1], &batch.item, [Term::RecI, Term::RqI, Term::AdaptI]),
        ];
        sides.map(|(uism, side, [reconstruction, quantization, adaptation])| {
            let uism = uism.as_ref()?;
            let output = uism.forward(tape, &side.content, quantize);
            if terms.config.enabled(reconstruction) {
                let loss = uism.reconstruction(tape, &output, &side.content);
                terms.add(reconstruction, loss);
            }
            if let Some(loss) = output.quantization {
                terms.add(quantization, loss);
            }
            if terms.config.enabled(adaptation)
                && let Some(loss) = uism.adaptation(tape, &output)
            {
                terms.add(adaptation, loss);
            }
            Some(output.quantized)
        })
    }
}

/// Collects the terms of a step with their weights.
pub(crate) struct DasTerms<'a> {
    pub(crate) config: &'a ModelConfig,
    terms: StepTerms,
}

impl DasTerms<'_> {
    pub(crate) fn add(&mut self, term: Term, value: Var) {
        self.add_share(term, value, 1.0);
    }

    /// Adds a term that enters the loss with `share` of its weight.
    pub(crate) fn add_share(&mut self, term: Term, value: Var, share: f32) {
        self.terms.add(term.name(), self.config.weight(term) * share, value);
    }
}
