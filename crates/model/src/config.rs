//! Settings of the model and of its training: raw as written, checked once by `check`.

use das_core::Side;
use das_nn::Precision;
use serde::{Deserialize, Serialize};

use crate::terms::{Part, Term, TermWeights};
use crate::{Error, Result};

/// Codebooks above this size are refused: a code must fit the 24-bit range that exports promise.
const MAX_CODEBOOK_SIZE: u32 = 1 << 20;
/// More levels than this cannot be written as token strings `<a_…> … <z_…>`.
const MAX_LEVELS: usize = 26;
const MAX_WIDTH: usize = 1 << 16;

/// The model: both tokenizers, the ID-based model and the weights of the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Width d of codes, of quantized vectors and of ID embeddings. The paper has 32; with the
    /// built-in content, near-duplicates then share all codes twice as often (measured on Amazon
    /// Beauty, 3 × 256: 10 % of items against 4 % at 16).
    pub code_dim: usize,
    /// Factor α of L_cf (paper: 1). 0 switches the part off.
    pub alpha: f32,
    /// Factor β of L_align (paper: 0.5). 0 switches the part off.
    pub beta: f32,
    /// Which sides get a tokenizer. Terms of the other side's fall away.
    pub sides: Sides,
    /// Whether the ID-based model (ICDM) takes part, and q_u and q_i align with its embeddings.
    pub icdm: bool,
    /// Whether ID embeddings are split into unbiased and biased parts. Without it there is one
    /// embedding an entity, trained on clicks with no popularity terms and no logQ correction, and
    /// the alignments are against that one.
    pub debias: bool,
    /// Whether the ID-based model is trained first, alone and for `train.epochs`, and then frozen
    /// while the tokenizers align with it: DAS in two stages instead of one.
    pub frozen_cf: bool,
    /// Other items of the clicking user, at most, whose property embeddings are added to the user's
    /// interest: one step of graph propagation, towards users with few clicks of their own. 0 adds
    /// none.
    pub interest_items: usize,
    /// Whether the alignments with ID embeddings move those as well. Without it the ID-based model
    /// learns from L_cf alone, and tokenizers follow it.
    pub teacher_gradient: bool,
    /// Clicks n₀ at which an ID embedding is trusted half: an alignment with that of an entity of n
    /// training clicks counts n / (n + n₀). 0 trusts all alike.
    pub teacher_clicks: f32,
    /// Temperature τ of every contrastive term.
    pub temperature: f32,
    /// Both directions averaged, or only row → column.
    pub direction: Direction,
    /// Whether known positives are left out of the negatives.
    pub mask_positives: bool,
    /// Whether the biased collaborative loss is corrected by log Q (sampling probability).
    pub log_q: bool,
    /// How squared errors are reduced over the dimensions.
    pub reduction: Reduction,
    /// How the encoders join the views of a content vector, where it consists of several.
    #[serde(skip_serializing_if = "Fusion::is_default")]
    pub fusion: Fusion,
    /// Rank of the content adapter, a residual projection of the frozen content vectors that is
    /// trained along; 0 leaves them as they are.
    pub adapter_rank: usize,
    /// Weight μ of the commitment term (paper: 0.25).
    pub commitment_weight: f32,
    /// Whether the alignment gradient also reaches the chosen codes.
    pub align_codes: bool,
    /// The user tokenizer.
    pub user: TokenizerConfig,
    /// The item tokenizer.
    pub item: TokenizerConfig,
    /// Weight of every loss term inside its part.
    pub terms: TermWeights,
}

/// The shape of one side's tokenizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Hidden widths of the encoder; the decoder mirrors them. Empty makes it linear.
    pub hidden: Vec<usize>,
    /// Codes of each level, K_0 … K_{L−1}.
    pub codebook_sizes: Vec<u32>,
}

/// Which sides get a tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sides {
    /// Users and items.
    #[default]
    Both,
    /// Users only.
    User,
    /// Items only.
    Item,
}

impl Sides {
    /// Whether `side` is among them.
    pub fn contain(self, side: Side) -> bool {
        match self {
            Sides::Both => true,
            Sides::User => side == Side::User,
            Sides::Item => side == Side::Item,
        }
    }
}

/// Directions of a contrastive term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The mean of both one-way losses.
    Both,
    /// Rows choose among columns.
    RowToColumn,
}

/// Reduction of squared errors over dimensions; over rows it is always the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Sum over dimensions (and levels): on unit vectors the mean would vanish beside the
    /// contrastive terms and let the codes collapse.
    Sum,
    /// Mean over dimensions (and levels), as PyTorch's `mse_loss`.
    Mean,
}

/// How an encoder joins the views of a content vector, each projected by its own matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// Projections to the whole first layer are added: views that agree share its units.
    #[default]
    Sum,
    /// Each view has its own share of the first layer.
    Concat,
}

impl Fusion {
    fn is_default(&self) -> bool {
        *self == Fusion::default()
    }
}

impl Default for ModelConfig {
    fn default() -> ModelConfig {
        ModelConfig {
            code_dim: 16,
            alpha: 1.0,
            beta: 0.5,
            sides: Sides::Both,
            icdm: true,
            debias: true,
            frozen_cf: false,
            interest_items: 8,
            teacher_gradient: true,
            teacher_clicks: 0.0,
            temperature: 0.1,
            direction: Direction::Both,
            mask_positives: true,
            log_q: true,
            reduction: Reduction::Sum,
            fusion: Fusion::Sum,
            adapter_rank: 0,
            commitment_weight: 0.25,
            align_codes: false,
            user: TokenizerConfig::default(),
            item: TokenizerConfig::default(),
            terms: TermWeights::default(),
        }
    }
}

impl Default for TokenizerConfig {
    fn default() -> TokenizerConfig {
        TokenizerConfig { hidden: vec![256, 128], codebook_sizes: vec![256; 3] }
    }
}

impl ModelConfig {
    /// The objective of the paper: all six alignments around the ID-based model, no direct one, and
    /// interests that are users' own.
    pub fn paper() -> ModelConfig {
        let mut config = ModelConfig { interest_items: 0, ..ModelConfig::default() };
        for (term, weight) in [(Term::QuInt, 1.0), (Term::QiPro, 1.0), (Term::QuQi, 0.0)] {
            config.terms.set(term, weight);
        }
        config
    }

    /// The tokenizer of `side`.
    pub fn tokenizer(&self, side: Side) -> &TokenizerConfig {
        match side {
            Side::User => &self.user,
            Side::Item => &self.item,
        }
    }

    /// The factor with which `term` enters the total loss; 0 where it is switched off.
    pub fn weight(&self, term: Term) -> f32 {
        let missing =
            Side::BOTH.into_iter().any(|side| term.trains(side) && !self.sides.contain(side));
        let no_adapter = matches!(term, Term::AdaptU | Term::AdaptI) && self.adapter_rank == 0;
        let off = missing
            || no_adapter
            || (term.needs_icdm() && !self.icdm)
            || (term.debiases() && !self.debias);
        if off {
            return 0.0;
        }
        self.terms.get(term)
            * match term.part() {
                Part::Sem => 1.0,
                Part::Cf => self.alpha,
                Part::Align => self.beta,
            }
    }

    /// Whether `term` takes part.
    pub fn enabled(&self, term: Term) -> bool {
        self.weight(term) != 0.0
    }

    /// Whether any term that needs the ID-based model takes part.
    pub fn uses_icdm(&self) -> bool {
        Term::ALL.iter().any(|&term| term.needs_icdm() && self.enabled(term))
    }

    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        positive_width("model.code_dim", self.code_dim)?;
        for (key, value) in [
            ("model.alpha", self.alpha),
            ("model.beta", self.beta),
            ("model.teacher_clicks", self.teacher_clicks),
            ("model.commitment_weight", self.commitment_weight),
        ] {
            non_negative(key, value)?;
        }
        positive("model.temperature", self.temperature)?;
        if self.adapter_rank > MAX_WIDTH {
            let expected = format!("0 to {MAX_WIDTH}");
            return Err(Error::config("model.adapter_rank", expected, self.adapter_rank));
        }
        for side in Side::BOTH {
            self.tokenizer(side).check(side)?;
        }
        for &term in Term::ALL {
            non_negative(&format!("model.terms.{term}"), self.terms.get(term))?;
        }
        for (side, term) in [(Side::User, Term::RqU), (Side::Item, Term::RqI)] {
            if self.sides.contain(side) && !self.enabled(term) {
                let key = format!("model.terms.{term}");
                return Err(Error::config(key, "more than 0: only this term moves codebooks", 0));
            }
        }
        self.check_ablations()
    }

    /// Switches that leave nothing to train, or nothing to switch, are mistakes.
    fn check_ablations(&self) -> Result<()> {
        if !self.debias && !self.icdm {
            return Err(Error::config("model.debias", "true where model.icdm is false", false));
        }
        let trains_cf = Term::ALL.iter().any(|&term| term.part() == Part::Cf && self.enabled(term));
        if self.frozen_cf && !trains_cf {
            let expected = "false where model.icdm, model.alpha or the weights leave no term of \
                            L_cf to train it with";
            return Err(Error::config("model.frozen_cf", expected, true));
        }
        Ok(())
    }
}

impl TokenizerConfig {
    fn check(&self, side: Side) -> Result<()> {
        hidden_widths(&format!("model.{side}.hidden"), &self.hidden)?;
        codebook_sizes(&format!("model.{side}.codebook_sizes"), &self.codebook_sizes)
    }
}

/// How the model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training clicks.
    pub epochs: u32,
    /// Clicks a step.
    pub batch_size: usize,
    /// Peak learning rate of dense parameters.
    pub learning_rate: f32,
    /// Peak learning rate of ID embedding tables.
    pub table_learning_rate: f32,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f32,
    /// Share of all steps spent on linear warm-up, before the cosine decay.
    pub warmup: f32,
    /// Largest global gradient norm; 0 disables clipping.
    pub clip_norm: f32,
    /// Whether rows of ID tables without a gradient are left alone (`lazy`) or follow AdamW's
    /// moments at every step (`dense`).
    pub table_update: TableUpdate,
    /// First epochs in which vectors pass unquantized; residual k-means then sets the codebooks.
    pub quantize_after: u32,
    /// First epochs without alignments with ID embeddings, in which those learn from clicks alone.
    pub teach_after: u32,
    /// Whether codebooks start from residual k-means on encoder outputs.
    pub kmeans_init: bool,
    /// Lloyd iterations of that k-means.
    pub kmeans_iterations: u32,
    /// Whether codes that no entity uses are moved onto data after an epoch.
    pub reset_dead_codes: bool,
    /// Last epochs without such a reset, so that the moved codes settle.
    pub settle_epochs: u32,
    /// Most entities of a side that k-means and usage counts look at.
    pub codebook_sample: usize,
    /// Epochs without a better validation score before training stops; 0 trains to the end.
    pub early_stopping: u32,
    /// In which linear layers and contrasts multiply, forward and backward; codes of a trained model
    /// are always worked out in single precision.
    pub precision: Precision,
    /// Steps between checkpoints inside an epoch; more where checkpoints would take over a tenth of
    /// the time. One is written after each epoch anyway.
    pub checkpoint_steps: u64,
    /// Steps between gradient reports, each of which costs about a step for every loss term; 0
    /// makes none. Training is the same with and without.
    pub gradient_report_steps: u64,
}

/// What AdamW does with table rows that got no gradient in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableUpdate {
    /// They stay as they are: the cost of a step does not grow with the table.
    Lazy,
    /// They decay and follow their moments, as a dense AdamW does.
    Dense,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig {
            epochs: 12,
            batch_size: 1024,
            learning_rate: 2e-3,
            table_learning_rate: 5e-3,
            weight_decay: 0.01,
            warmup: 0.05,
            clip_norm: 0.0,
            table_update: TableUpdate::Lazy,
            quantize_after: 2,
            teach_after: 0,
            kmeans_init: true,
            kmeans_iterations: 20,
            reset_dead_codes: true,
            settle_epochs: 1,
            codebook_sample: 200_000,
            early_stopping: 0,
            precision: Precision::F32,
            checkpoint_steps: 200,
            gradient_report_steps: 0,
        }
    }
}

impl TrainConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [
            ("train.epochs", self.epochs as usize),
            ("train.kmeans_iterations", self.kmeans_iterations as usize),
            ("train.codebook_sample", self.codebook_sample),
            ("train.checkpoint_steps", self.checkpoint_steps as usize),
        ] {
            at_least_one(key, value)?;
        }
        if self.batch_size < 2 {
            let expected = "at least 2: the other clicks of a batch are the negatives";
            return Err(Error::config("train.batch_size", expected, self.batch_size));
        }
        positive("train.learning_rate", self.learning_rate)?;
        positive("train.table_learning_rate", self.table_learning_rate)?;
        non_negative("train.weight_decay", self.weight_decay)?;
        non_negative("train.clip_norm", self.clip_norm)?;
        share("train.warmup", self.warmup)?;
        if self.quantize_after >= self.epochs {
            let expected = format!("less than train.epochs ({})", self.epochs);
            return Err(Error::config("train.quantize_after", expected, self.quantize_after));
        }
        if self.teach_after >= self.epochs {
            let expected = format!("less than train.epochs ({})", self.epochs);
            return Err(Error::config("train.teach_after", expected, self.teach_after));
        }
        Ok(())
    }
}

/// Refuses widths of hidden layers that cannot work.
pub(crate) fn hidden_widths(key: &str, widths: &[usize]) -> Result<()> {
    widths
        .iter()
        .enumerate()
        .try_for_each(|(at, &width)| positive_width(&format!("{key}[{at}]"), width))
}

/// Refuses codebooks that cannot work.
pub(crate) fn codebook_sizes(key: &str, sizes: &[u32]) -> Result<()> {
    if !(1..=MAX_LEVELS).contains(&sizes.len()) {
        return Err(Error::config(key, format!("1 to {MAX_LEVELS} levels"), sizes.len()));
    }
    for (level, &size) in sizes.iter().enumerate() {
        if !(2..=MAX_CODEBOOK_SIZE).contains(&size) {
            let key = format!("{key}[{level}]");
            return Err(Error::config(key, format!("2 to {MAX_CODEBOOK_SIZE}"), size));
        }
    }
    Ok(())
}

pub(crate) fn positive_width(key: &str, value: usize) -> Result<()> {
    if (1..=MAX_WIDTH).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, format!("1 to {MAX_WIDTH}"), value))
}

pub(crate) fn at_least_one(key: &str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::config(key, "at least 1", value))
}

/// Checks a share, such as that of the steps spent on warm-up.
pub(crate) fn share(key: &str, value: f32) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, "0 up to, not including, 1", value))
}

pub(crate) fn positive(key: &str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::config(key, "a finite number above 0", value))
}

pub(crate) fn non_negative(key: &str, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::config(key, "a finite number, 0 or more", value))
}
