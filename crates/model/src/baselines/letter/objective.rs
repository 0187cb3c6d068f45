//! The objective of one side.

use das_core::streams::stream;
use das_core::{DenseMatrix, Side};
use das_nn::safetensors_io::{NamedTensor, TensorData};
use das_nn::{Direction, InfoNce, PairMask, ParamId, Params, Tape, Var};
use rand::Rng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::LetterConfig;
use super::balanced::balanced_kmeans;
use crate::baselines::rows::{RowBatch, RowsObjective, TermNames};
use crate::batch::gather;
use crate::method::Run;
use crate::train::{Objective, Quantizer, StepTerms};
use crate::{Error, NeuralTokenizer, Result};

/// Most rows that the constrained k-means of the first codebooks looks at.
const CODEBOOK_SAMPLE: usize = 20_000;

/// L = recon + RQ + α·L_cf + β·L_div over the rows of one side.
pub(crate) struct LetterObjective<'a> {
    config: LetterConfig,
    rows: RowsObjective<'a>,
    /// One row an entity, frozen.
    collaborative: DenseMatrix,
    /// For each level the cluster of each code, as of the beginning of the epoch.
    clusters: Vec<Vec<u32>>,
}

impl<'a> LetterObjective<'a> {
    pub(crate) fn new(
        config: &LetterConfig,
        run: &Run<'a>,
        side: Side,
        collaborative: DenseMatrix,
    ) -> Result<LetterObjective<'a>> {
        let rows = RowsObjective::new(config.rows(), run, side)?;
        Ok(LetterObjective { config: config.clone(), rows, collaborative, clusters: Vec::new() })
    }

    fn stream(&self, purpose: &str, index: u64) -> ChaCha8Rng {
        stream(self.rows.seed, &format!("letter {} {purpose}", self.rows.side), index)
    }

    /// In-batch cross entropy of q · CFᵀ, each q against the collaborative vectors of all rows.
    fn collaborative_loss(&self, tape: &mut Tape<'_>, batch: &RowBatch, q: Var) -> Var {
        let vectors = gather(&self.collaborative, &batch.rows);
        let vectors = tape.input_slice(batch.rows.len(), self.config.code_dim, &vectors);
        let raw = InfoNce { direction: Direction::RowToColumn, ..InfoNce::new(1.0) };
        tape.info_nce(q, vectors, &raw)
    }

    /// The mean over levels of [`diversity`], with one random positive for each code.
    fn diversity_loss(&self, tape: &mut Tape<'_>, batch: &RowBatch, codes: &[u32]) -> Var {
        let levels = self.rows.uism.codebooks();
        let mut rng = self.stream("positives", batch.step);
        let mut parts = Vec::with_capacity(levels.len());
        for (level, (&codebook, clusters)) in levels.iter().zip(&self.clusters).enumerate() {
            let positives = positives(clusters, &mut rng);
            let chosen = codes.iter().skip(level).step_by(levels.len()).copied();
            let loss = diversity(tape, codebook, chosen, &positives);
            parts.push((loss, 1.0 / levels.len() as f32));
        }
        tape.weighted_sum(&parts)
    }
}

/// For each code another code of its cluster, at random; a code alone in its cluster stays itself.
///
/// The codes of a cluster are put on a random circle and each takes the next: every other code is
/// equally likely, and no two codes take the same.
fn positives(clusters: &[u32], rng: &mut impl Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..clusters.len() as u32).collect();
    order.shuffle(rng);
    order.sort_by_key(|&code| clusters[code as usize]);
    let mut positives = vec![0; clusters.len()];
    for circle in order.chunk_by(|&a, &b| clusters[a as usize] == clusters[b as usize]) {
        let next = circle.iter().cycle().skip(1);
        circle.iter().zip(next).for_each(|(&code, &next)| positives[code as usize] = next);
    }
    positives
}

/// L_div of one level: the mean over rows of the cross entropy, over all codes but the chosen one
/// itself, of (chosen code · codeᵀ) against the chosen code's positive.
///
/// Rows that chose the same code have the same logits, and here also the same positive (the paper
/// draws one a row; the expectation is the same). So this is one InfoNCE over the codebook, whose
/// columns are the codes in the order of the positives, each row weighted by how often its code
/// was chosen. Codes without a positive weigh nothing.
pub(super) fn diversity(
    tape: &mut Tape<'_>,
    codebook: ParamId,
    chosen: impl Iterator<Item = u32>,
    positives: &[u32],
) -> Var {
    let mut weights = vec![0.0f32; positives.len()];
    chosen.for_each(|code| weights[code as usize] += 1.0);
    let mut own_column = vec![0u32; positives.len()];
    for (code, &positive) in positives.iter().enumerate() {
        own_column[positive as usize] = code as u32;
        if positive as usize == code {
            weights[code] = 0.0;
        }
    }
    let own = own_column.iter().enumerate();
    let own = own.map(|(code, &column)| (code, (column as usize != code).then_some(column)));
    let mask = PairMask::from_rows(positives.len(), own).expect("one column a row, in order");
    let codes = tape.param(codebook);
    let columns = tape.select_rows(codes, positives);
    let options = InfoNce {
        direction: Direction::RowToColumn,
        mask: Some(&mask),
        row_weights: Some(&weights),
        ..InfoNce::new(1.0)
    };
    tape.info_nce(codes, columns, &options)
}

impl Objective for LetterObjective<'_> {
    type Batch = RowBatch;

    fn params(&self) -> &Params {
        self.rows.params()
    }

    fn params_mut(&mut self) -> &mut Params {
        self.rows.params_mut()
    }

    fn steps_per_epoch(&self) -> u64 {
        self.rows.steps_per_epoch()
    }

    fn begin_epoch(&mut self, epoch: u64) {
        self.rows.begin_epoch(epoch);
    }

    fn batch(&mut self, at: u64) -> RowBatch {
        self.rows.batch(at)
    }

    fn loss(&self, tape: &mut Tape<'_>, batch: &RowBatch, quantize: bool) -> StepTerms {
        let names = TermNames::of(self.rows.side);
        let mut terms = StepTerms::default();
        let output = self.rows.forward(tape, batch, quantize, &mut terms);
        if self.config.alpha > 0.0 {
            let loss = self.collaborative_loss(tape, batch, output.quantized);
            terms.add(names.collaborative, self.config.alpha, loss);
        }
        if let Some(codes) = output.codes.filter(|_| self.config.beta > 0.0) {
            let loss = self.diversity_loss(tape, batch, &codes.to_vec());
            terms.add(names.diversity, self.config.beta, loss);
        }
        terms
    }

    fn quantizers(&self) -> Vec<Quantizer<'_>> {
        self.rows.quantizers()
    }

    fn initial_codebook(
        &self,
        residuals: &[f32],
        dim: usize,
        size: usize,
        iterations: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<f32> {
        let rows = residuals.len() / dim;
        if rows <= CODEBOOK_SAMPLE {
            return balanced_kmeans(residuals, dim, size, iterations, rng).centroids;
        }
        let mut sample = Vec::with_capacity(CODEBOOK_SAMPLE * dim);
        for row in index::sample(rng, rows, CODEBOOK_SAMPLE) {
            sample.extend_from_slice(&residuals[row * dim..][..dim]);
        }
        balanced_kmeans(&sample, dim, size, iterations, rng).centroids
    }

    fn refresh(&mut self, epoch: u64) {
        let mut rng = self.stream("clusters", epoch);
        let (dim, iterations) = (self.config.code_dim, self.config.kmeans_iterations as usize);
        let mut cluster = |&codebook: &ParamId| {
            let codes = self.rows.params.get(codebook);
            let clusters = (self.config.clusters as usize).min(codes.rows() / 2).max(1);
            balanced_kmeans(&codes.to_vec(), dim, clusters, iterations, &mut rng).assignments
        };
        self.clusters = self.rows.uism.codebooks().iter().map(&mut cluster).collect();
    }

    fn state(&self) -> Vec<NamedTensor> {
        let tensor = |(level, clusters): (usize, &Vec<u32>)| NamedTensor {
            name: format!("clusters.{level}"),
            shape: vec![clusters.len()],
            data: TensorData::U32(clusters.clone()),
        };
        self.clusters.iter().enumerate().map(tensor).collect()
    }

    fn load_state(&mut self, state: &[NamedTensor]) -> Result<()> {
        let sizes = self.config.codebook_sizes.iter().enumerate();
        let clusters = sizes.map(|(level, &size)| {
            let name = format!("clusters.{level}");
            let tensor = state.iter().find(|tensor| tensor.name == name);
            match tensor.map(|tensor| &tensor.data) {
                Some(TensorData::U32(clusters)) if clusters.len() == size as usize => {
                    Ok(clusters.clone())
                }
                _ => Err(Error::Checkpoint(format!("`{name}`: expected {size} cluster numbers"))),
            }
        });
        self.clusters = clusters.collect::<Result<_>>()?;
        Ok(())
    }

    fn tokenizer(&self) -> Result<Option<NeuralTokenizer>> {
        self.rows.tokenizer()
    }

    fn identity(&self) -> Value {
        let vectors: Vec<u8> =
            self.collaborative.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        json!({
            "letter": self.config,
            "side": self.rows.side,
            "collaborative": das_core::files::sha256_bytes(&vectors),
        })
    }
}

#[cfg(test)]
mod tests {
    use das_nn::{Device, ParamKind};

    use super::*;

    #[test]
    fn positives_are_other_codes_of_the_cluster_each_as_often() {
        let clusters = [0, 1, 0, 1, 2, 0, 0, 1];
        let mut rng = stream(0, "test", 0);
        let mut counts = vec![[0; 8]; 8];
        for _ in 0..3000 {
            let positives = positives(&clusters, &mut rng);
            let mut sorted = positives.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7]);
            for (code, &positive) in positives.iter().enumerate() {
                assert_eq!(clusters[code], clusters[positive as usize]);
                assert_eq!(positive as usize == code, code == 4);
                counts[code][positive as usize] += 1;
            }
        }
        for (code, other) in [(0, 2), (2, 5), (6, 0)] {
            assert!((900..1100).contains(&counts[code][other]), "{counts:?}");
        }
        assert!((1400..1600).contains(&counts[1][3]), "{counts:?}");
    }

    /// The mean over rows, row by row, as the paper has it.
    fn naive(codebook: &[Vec<f64>], chosen: &[u32], positives: &[u32]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let with_positive: Vec<usize> =
            chosen.iter().map(|&c| c as usize).filter(|&c| positives[c] as usize != c).collect();
        let loss = |&code: &usize| {
            let logit = |other: usize| dot(&codebook[code], &codebook[other]);
            let others = (0..codebook.len()).filter(|&other| other != code);
            others.map(|other| logit(other).exp()).sum::<f64>().ln()
                - logit(positives[code] as usize)
        };
        with_positive.iter().map(loss).sum::<f64>() / with_positive.len() as f64
    }

    #[test]
    fn the_diversity_loss_over_codes_is_the_one_over_rows() {
        let mut rng = stream(1, "test", 0);
        let codes: Vec<Vec<f64>> =
            (0..6).map(|_| (0..4).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        let flat: Vec<f32> = codes.iter().flatten().map(|&v| v as f32).collect();
        let mut params = Params::new(&Device::cpu());
        let codebook = params.add("codes", ParamKind::Dense, 6, 4, &flat).unwrap();
        let chosen = [0, 0, 3, 5, 2, 0, 3, 4];
        for clusters in [[0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 2, 0]] {
            let positives = positives(&clusters, &mut rng);
            let mut tape = Tape::new(&params);
            let loss = diversity(&mut tape, codebook, chosen.into_iter(), &positives);
            let found = f64::from(tape.scalar(loss));
            let expected = naive(&codes, &chosen, &positives);
            assert!((found - expected).abs() < 1e-5, "{found} against {expected}");
        }
    }
}
