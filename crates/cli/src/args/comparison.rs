//! Arguments of the commands that compare methods and tell about it.

use std::path::PathBuf;

use clap::Args;
use das_eval::compare::Question;
use das_eval::presets::Preset;

use super::Settings;

/// Arguments of `das compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The data-set folder
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// Methods (das, rqvae, rqkmeans, letter, qarm), ablations, ID files, runs, or NAME=FILE
    #[arg(
        long,
        value_name = "METHOD|FILE",
        value_delimiter = ',',
        default_value = "das,rqvae,rqkmeans,letter,qarm"
    )]
    pub methods: Vec<String>,
    /// Add every ablation of DAS
    #[arg(long)]
    pub ablations: bool,
    /// Add the rows of a TOML file: a section a row, with the settings that differ
    #[arg(long, value_name = "FILE")]
    pub variants: Option<PathBuf>,
    /// What is measured: intrinsic, generative, ctr, cold, or a variant as in ctr/global-time
    #[arg(
        long,
        value_name = "TASK",
        value_delimiter = ',',
        default_value = "intrinsic,generative"
    )]
    pub tasks: Vec<Question>,
    /// Seeds of each run: 0, 1, … N - 1
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// Trainings of the recommender on the IDs of each seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub repeats: u64,
    /// Runs at a time, each on its share of the threads and with inputs of its own in memory
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// The budget of recommenders: quick, standard or full
    #[arg(long, default_value_t = Preset::Standard)]
    pub preset: Preset,
    /// The comparison's folder; the same call again goes on where it was interrupted
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
    /// Print the records as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das contrasts`.
#[derive(Debug, Args)]
pub struct ContrastsArgs {
    /// The plan in TOML: a `[[contrast]]` for each claim
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Folders of comparisons, by the names that the plan has for them
    #[arg(value_name = "NAME=FOLDER", required = true)]
    pub comparisons: Vec<String>,
    /// Write a line of JSON for each contrast, in the order of the plan
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run, an artifact folder, or the folder of a comparison
    #[arg(value_name = "RUN|DIR")]
    pub target: PathBuf,
    /// The HTML file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The data set, for titles of items
    #[arg(long, value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
