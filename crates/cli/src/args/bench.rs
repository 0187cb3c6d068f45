//! Arguments of `das bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use das_content::PlmConfig;

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
    /// Embedding texts with a published model, without a cache
    Embed(BenchEmbedArgs),
}

/// Arguments of `das bench encode`.
#[derive(Debug, Args)]
pub struct BenchEncodeArgs {
    /// A folder with init.safetensors and batches.safetensors
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Worker threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Batches that are timed, after five that are not
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
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
    /// Worker threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Write the vectors to this .npy file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
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
    /// Worker threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Time every user alone as well; with --dir
    #[arg(long, conflicts_with = "run")]
    pub latency: bool,
    /// Write items and scores to this .safetensors file; with --dir
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub out: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das bench step`.
#[derive(Debug, Args)]
pub struct BenchStepArgs {
    /// A folder with init.safetensors and batches.safetensors
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Worker threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Steps that are timed, after five that are not
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}
