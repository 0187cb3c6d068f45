//! Arguments of the commands that write data sets.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use das_data::SplitKind;
use das_data::synthetic::MarketConfig;

/// Arguments of `das import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The source's format
    #[arg(value_enum)]
    pub format: ImportFormat,
    /// The click log (csv, jsonl, parquet), the folder (movielens) or the reviews (amazon)
    #[arg(value_name = "SRC")]
    pub source: PathBuf,
    /// The data-set folder to write; it must not exist or be empty
    #[arg(long, value_name = "DATA")]
    pub out: PathBuf,
    /// Column of the user id
    #[arg(long, default_value = "user_id", value_name = "COLUMN")]
    pub user: String,
    /// Column of the item id
    #[arg(long, default_value = "item_id", value_name = "COLUMN")]
    pub item: String,
    /// Column of the time
    #[arg(long, value_name = "COLUMN")]
    pub timestamp: Option<String>,
    /// Column of the position within a user, where there is no time
    #[arg(long, value_name = "COLUMN", conflicts_with = "timestamp")]
    pub position: Option<String>,
    /// Column of the label, 1 for a click and 0 for an exposure without one
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Column of a rating; at or above --min-rating it is a click, below an exposure
    #[arg(long, value_name = "COLUMN", conflicts_with = "label")]
    pub rating: Option<String>,
    /// Lowest rating that counts as a click (movielens: 4, amazon: every review)
    #[arg(long, value_name = "RATING")]
    pub min_rating: Option<f64>,
    /// Column of the weight
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// Table of item texts (csv, jsonl or parquet); for amazon the metadata file
    #[arg(long, value_name = "FILE")]
    pub items: Option<PathBuf>,
    /// Table of user profiles (csv, jsonl or parquet)
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Keep only users and items with at least this many interactions, repeated until stable
    #[arg(long, value_name = "K")]
    pub k_core: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Formats of `das import`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Comma-separated, with a header
    Csv,
    /// One JSON object a line
    Jsonl,
    /// Parquet
    Parquet,
    /// A MovieLens folder: 100K, 1M, 10M, 20M, 25M or 32M
    Movielens,
    /// Amazon reviews of 2014, 2018 or 2023
    Amazon,
}

/// Arguments of `das market`.
#[derive(Debug, Args)]
pub struct MarketArgs {
    /// The data-set folder to write; it must not exist or be empty
    #[arg(long, value_name = "DATA")]
    pub out: PathBuf,
    /// Users
    #[arg(long, value_name = "N", default_value_t = MarketConfig::default().users)]
    pub users: usize,
    /// Items
    #[arg(long, value_name = "N", default_value_t = MarketConfig::default().items)]
    pub items: usize,
    /// Rounds of exposure; a round is a day
    #[arg(long, value_name = "N", default_value_t = MarketConfig::default().rounds)]
    pub rounds: usize,
    /// Items that a user sees in a round
    #[arg(long, value_name = "N", default_value_t = MarketConfig::default().slots)]
    pub slots: usize,
    /// Last rounds in which all items are shown alike, whatever was clicked before
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub unbiased_rounds: usize,
    /// Seed of the market
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das tuning-set`.
#[derive(Debug, Args)]
pub struct TuningSetArgs {
    /// The data set
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// The split whose test rows are left out
    #[arg(long, value_name = "SPLIT", default_value_t)]
    pub split: SplitKind,
    /// The data-set folder to write; it must not exist or be empty
    #[arg(long, value_name = "DATA")]
    pub out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
