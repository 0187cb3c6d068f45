//! Every method that trains a tokenizer, behind one function.

use std::fmt;
use std::str::FromStr;

use das_core::checkpoints::CheckpointStore;
use das_core::progress::Cancel;
use das_core::sid::CollisionPolicy;
use das_core::{Clicks, HeldOut, RowMatrix, Side};
use das_nn::Device;
use das_nn::safetensors_io::{self, NamedTensor};
use serde::{Deserialize, Serialize};

use crate::baselines::letter::LetterConfig;
use crate::baselines::qarm::{self, QarmConfig};
use crate::baselines::rqkmeans::{self, RqkmeansConfig};
use crate::baselines::rqvae::RqvaeConfig;
use crate::baselines::{letter, rqvae};
use crate::tokenizer::METHOD;
use crate::train::{Observer, Validation};
use crate::{
    Error, ModelConfig, NeuralTokenizer, ResidualTokenizer, Result, Tokenizer, TrainConfig, das,
};

/// A way to train a tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One-stage dual alignment (arXiv:2508.10584).
    #[default]
    Das,
    /// Content-only residual-quantizing autoencoder, as in TIGER (arXiv:2305.05065).
    Rqvae,
    /// Content-only residual k-means.
    Rqkmeans,
    /// RQ-VAE regularised by frozen collaborative vectors and code diversity (arXiv:2405.07314).
    Letter,
    /// Content aligned with behaviour first, quantized after (arXiv:2411.11739).
    Qarm,
}

impl Method {
    /// All methods.
    pub const ALL: [Method; 5] =
        [Method::Das, Method::Rqvae, Method::Rqkmeans, Method::Letter, Method::Qarm];

    /// The name in configs, manifests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Das => "das",
            Method::Rqvae => "rqvae",
            Method::Rqkmeans => "rqkmeans",
            Method::Letter => "letter",
            Method::Qarm => "qarm",
        }
    }

    /// What the method's paper does about equal IDs; used where the config does not say.
    pub fn default_collision(self) -> CollisionPolicy {
        match self {
            Method::Letter => CollisionPolicy::Sinkhorn,
            _ => CollisionPolicy::Suffix,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Method> {
        Method::ALL.into_iter().find(|method| method.name() == text).ok_or_else(|| {
            let names = Method::ALL.map(Method::name).join(", ");
            Error::Invalid(format!("method {text:?}, expected one of {names}"))
        })
    }
}

/// The settings of the baselines, one section each: `[rqvae]`, `[rqkmeans]`, `[letter]`, `[qarm]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodConfigs {
    /// Content-only RQ-VAE.
    pub rqvae: RqvaeConfig,
    /// Residual k-means.
    pub rqkmeans: RqkmeansConfig,
    /// LETTER.
    pub letter: LetterConfig,
    /// QARM.
    pub qarm: QarmConfig,
}

impl MethodConfigs {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.rqvae.check()?;
        self.rqkmeans.check()?;
        self.letter.check()?;
        self.qarm.check()
    }

    /// Codes of each level of `side` that a baseline will learn; none for [`Method::Das`], whose
    /// levels are in its [`ModelConfig`].
    pub fn codebook_sizes(&self, method: Method) -> Option<&[u32]> {
        match method {
            Method::Das => None,
            Method::Rqvae => Some(&self.rqvae.codebook_sizes),
            Method::Rqkmeans => Some(&self.rqkmeans.codebook_sizes),
            Method::Letter => Some(&self.letter.codebook_sizes),
            Method::Qarm => Some(&self.qarm.codebook_sizes),
        }
    }
}

/// The settings of all methods; each reads its own. `model` and `train` are those of DAS, and
/// `train` also says for every method how often checkpoints and gradient reports are due.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// DAS: model and objective.
    pub model: &'a ModelConfig,
    /// DAS: optimizer and schedule. All: checkpoints and reports.
    pub train: &'a TrainConfig,
    /// The baselines.
    pub methods: &'a MethodConfigs,
}

/// What training sees: the training part of the log, content of every user and item, and, for
/// early stopping and curves only, held-out clicks.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Training clicks.
    pub clicks: &'a dyn Clicks,
    /// Content vectors, `[users, items]`, in the row order of `clicks`.
    pub content: [&'a dyn RowMatrix; 2],
    /// Validation clicks.
    pub validation: Option<&'a HeldOut>,
    /// Frozen collaborative vectors, `[users, items]`, trained elsewhere on training clicks; only
    /// [`Method::Letter`] reads them, and trains its own where there are none.
    pub collaborative: [Option<&'a dyn RowMatrix>; 2],
}

/// Where and on what a method trains.
#[derive(Clone)]
pub struct Run<'a> {
    /// Where tensors live.
    pub device: &'a Device,
    /// What it trains on.
    pub inputs: Inputs<'a>,
    /// The seed of all randomness.
    pub seed: u64,
    /// Where checkpoints are written, and training is continued from.
    pub store: Option<CheckpointStore>,
}

/// Further tensors of a method for its artifact: name of the file and content.
pub type ExtraFile = (String, Vec<NamedTensor>);

/// The result of training.
pub struct Trained {
    /// The tokenizer, of one side or both.
    pub tokenizer: Box<dyn Tokenizer>,
    /// What else is worth keeping, such as the ID embeddings of a collaborative model; encoding
    /// needs none of it.
    pub extra: Vec<ExtraFile>,
    /// Validation of the weights kept.
    pub validation: Option<Validation>,
    /// Epochs completed, over all stages.
    pub epochs: u64,
    /// Steps taken, over all stages.
    pub steps: u64,
}

/// Trains `method`, continuing from the newest intact checkpoint of the run's store.
///
/// # Errors
/// If inputs do not fit each other or a setting, a value is not finite, checkpoints are of another
/// run, training diverges, or `cancel` is requested; a checkpoint is then written first.
pub fn train_method(
    method: Method,
    settings: Settings<'_>,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    let Settings { model, train, methods } = settings;
    train.check()?;
    run.inputs.check()?;
    match method {
        Method::Das => das::train(model, train, run, observer, cancel),
        Method::Rqvae => rqvae::train(&methods.rqvae, train, run, observer, cancel),
        Method::Rqkmeans => rqkmeans::train(&methods.rqkmeans, train, run, observer, cancel),
        Method::Letter => letter::train(&methods.letter, train, run, observer, cancel),
        Method::Qarm => qarm::train(&methods.qarm, train, run, observer, cancel),
    }
}

/// Reads the `model.safetensors` of any method; shapes and values are checked.
pub fn load_tokenizer(bytes: &[u8]) -> Result<Box<dyn Tokenizer>> {
    let file = safetensors_io::from_bytes(bytes)?;
    let name = file.metadata.get(METHOD).map(String::as_str).unwrap_or_default();
    Ok(match name.parse()? {
        Method::Das | Method::Rqvae | Method::Letter => {
            Box::new(NeuralTokenizer::from_file(&file)?)
        }
        Method::Rqkmeans | Method::Qarm => Box::new(ResidualTokenizer::from_file(&file)?),
    })
}

impl Inputs<'_> {
    /// Refuses content that does not fit the clicks, and values that are not finite.
    fn check(&self) -> Result<()> {
        let rows = [self.clicks.num_users(), self.clicks.num_items()];
        for ((side, content), expected) in Side::BOTH.into_iter().zip(self.content).zip(rows) {
            check_matrix(&format!("{side} content"), side, content, expected)?;
        }
        for ((side, vectors), expected) in Side::BOTH.into_iter().zip(self.collaborative).zip(rows)
        {
            if let Some(vectors) = vectors {
                check_matrix(&format!("collaborative {side} vectors"), side, vectors, expected)?;
            }
        }
        Ok(())
    }
}

fn check_matrix(what: &str, side: Side, matrix: &dyn RowMatrix, expected: usize) -> Result<()> {
    let found = matrix.rows();
    if found != expected {
        return Err(Error::Invalid(format!(
            "{what}: expected {expected} vectors, one for each {side}, found {found}"
        )));
    }
    for row in 0..found {
        if let Some(at) = matrix.row(row).iter().position(|value| !value.is_finite()) {
            let value = matrix.row(row)[at];
            return Err(Error::Invalid(format!(
                "{what}: row {row}, value {at} is {value}, expected a finite number"
            )));
        }
    }
    Ok(())
}
