//! The model: its parts, their shapes, and what they are trained on.

use das_core::Side;
use serde::{Deserialize, Serialize};

use super::check::{
    MAX_WIDTH, codebook_sizes, hidden_widths, non_negative, positive, positive_width,
};
use crate::terms::{Part, Term, TermWeights};
use crate::{Error, Result};

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
    /// Whether content is centred and brought to one scale before it is encoded, so that vectors of
    /// any length, and of a model that leaves all texts in a narrow cone, are met alike.
    pub standardize: bool,
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
            standardize: true,
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
