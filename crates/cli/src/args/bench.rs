//! Arguments of `das bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use das_content::PlmConfig;
use das_model::TrainConfig;
use das_nn::Precision;

/// Arguments of `das bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub what: Bench,
}

/// The measurements of `das bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Training steps from given weights and batches
    Step(BenchStepArgs),
    /// Beam search of a run's retriever over its test queries, or with given weights
    Retrieve(BenchRetrieveArgs),
    /// Encoding content into codes with given weights
    Encode(BenchEncodeArgs),
    /// Residual k-means on given vectors
    Kmeans(BenchKmeansArgs),
    /// Embedding texts with a published model, without a cache
    Embed(BenchEmbedArgs),
    /// Preparing and training on a generated log of a given size: time and memory of each phase
    Scale(BenchScaleArgs),
    /// Loading and asking an artifact of many items as the service does
    Serve(BenchServeArgs),
}

/// Arguments of every measurement.
#[derive(Clone, Copy, Debug, Args)]
pub struct BenchCommon {
    /// Worker threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das bench encode`.
#[derive(Debug, Args)]
pub struct BenchEncodeArgs {
    /// A folder with init.safetensors and batches.safetensors
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Batches that are timed, after five that are not
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}

/// Arguments of `das bench kmeans`.
#[derive(Debug, Args)]
pub struct BenchKmeansArgs {
    /// Vectors [rows, width], f32
    #[arg(long, value_name = "FILE.npy")]
    pub vectors: PathBuf,
    /// Levels, each for what the one before it leaves over
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub levels: u8,
    /// Codes of a level
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub codes: u16,
    /// Most iterations of a level
    #[arg(long, default_value_t = 25)]
    pub iterations: u16,
    /// How often, each time from another seed; the figures are medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}

/// Arguments of `das bench embed`.
#[derive(Debug, Args)]
pub struct BenchEmbedArgs {
    /// Folder of the model
    #[arg(long, value_name = "FOLDER")]
    pub model: PathBuf,
    /// A file with one text a line
    #[arg(long, value_name = "FILE")]
    pub texts: PathBuf,
    /// Tokens that are worked on at once
    #[arg(long, default_value_t = PlmConfig::default().batch_tokens, value_name = "TOKENS")]
    pub batch_tokens: usize,
    /// Write the vectors to this .npy file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}

/// Arguments of `das bench serve`.
#[derive(Debug, Args)]
pub struct BenchServeArgs {
    /// A run whose tokenizer and layout are taken
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The folder of the artifact; published where it is missing, which is to be done by a call of its own
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Its items
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub items: u32,
    /// Ids that are looked up, drawn from all
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub lookups: u32,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}

/// Arguments of `das bench retrieve`.
#[derive(Debug, Args)]
pub struct BenchRetrieveArgs {
    /// A run with a retriever (das train-retriever)
    #[arg(long, value_name = "RUN", requires = "data", required_unless_present = "dir")]
    pub run: Option<PathBuf>,
    /// The data set that the run was trained on
    #[arg(long, value_name = "DATA", requires = "run")]
    pub data: Option<PathBuf>,
    /// A folder with retriever.safetensors and queries.safetensors instead of a run
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "data"])]
    pub dir: Option<PathBuf>,
    /// Width of the beam
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub beam: u16,
    /// Items of an answer
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub k: u16,
    /// Users that are answered, evenly spread; 0 for all
    #[arg(long, default_value_t = 0)]
    pub queries: usize,
    /// Users answered at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// Time every user alone as well; with --dir
    #[arg(long, conflicts_with = "run")]
    pub latency: bool,
    /// Write items and scores to this .safetensors file; with --dir
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub out: Option<PathBuf>,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}

/// What `das bench step` trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchModel {
    /// The DAS tokenizer
    Tokenizer,
    /// The click ranker
    Ranker,
    /// The generative retriever
    Retriever,
}

/// The precisions of `das bench step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchPrecision {
    /// Single precision
    F32,
    /// bfloat16 factors, added up in single precision
    Bf16,
}

impl From<BenchPrecision> for Precision {
    fn from(precision: BenchPrecision) -> Precision {
        match precision {
            BenchPrecision::F32 => Precision::F32,
            BenchPrecision::Bf16 => Precision::Bf16,
        }
    }
}

/// Arguments of `das bench step`.
#[derive(Debug, Args)]
pub struct BenchStepArgs {
    /// What to train
    #[arg(long, value_enum, default_value_t = BenchModel::Tokenizer)]
    pub model: BenchModel,
    /// A folder with init.safetensors, batches.safetensors and, but for the tokenizer, config.json
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// In which linear layers and contrasts multiply
    #[arg(long, value_enum, default_value_t = BenchPrecision::F32)]
    pub precision: BenchPrecision,
    /// Steps that are timed, after five that are not
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}

/// Arguments of `das bench scale`.
#[derive(Debug, Args)]
pub struct BenchScaleArgs {
    /// Items of the log
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub items: u32,
    /// Users of the log
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(2..))]
    pub users: u32,
    /// Clicks of the log
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(2..))]
    pub clicks: u32,
    /// Steps that are timed, after five that are not; all are of one epoch
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Clicks a step
    #[arg(
        long,
        default_value_t = TrainConfig::default().batch_size as u32,
        value_parser = clap::value_parser!(u32).range(2..)
    )]
    pub batch: u32,
    /// Width of the content vectors
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub content_dim: u16,
    /// Seed of the log and of the training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads and output
    #[command(flatten)]
    pub common: BenchCommon,
}
