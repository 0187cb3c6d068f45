//! The command line.

mod bench;
mod comparison;
mod data;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use das_core::Side;
use das_eval::presets::Preset;
use das_model::Method;

pub use self::bench::{
    Bench, BenchArgs, BenchEmbedArgs, BenchEncodeArgs, BenchKmeansArgs, BenchModel,
    BenchRetrieveArgs, BenchScaleArgs, BenchServeArgs, BenchStepArgs,
};
pub use self::comparison::{CompareArgs, ContrastsArgs, ReportArgs};
pub use self::data::{ImportArgs, ImportFormat, MarketArgs, TuningSetArgs};
pub use self::serve::ServeArgs;

/// Dual-aligned semantic IDs: short tuples of codes for items and users that follow content and
/// behaviour, learned in one stage.
#[derive(Debug, Parser)]
#[command(name = "das", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a small ad market with known truth, train on it and show what DAS adds
    #[command(after_help = "Example:\n  das demo --out demo-run")]
    Demo(DemoArgs),
    /// Turn a click log of another format into a data-set folder
    #[command(after_help = crate::commands::import::EXAMPLES)]
    Import(Box<ImportArgs>),
    /// Write a generated market of any size as a data set, with its truth beside it
    #[command(after_help = "Example:\n  das market --users 40000 --unbiased-rounds 1 --out market")]
    Market(MarketArgs),
    /// Write a data set without its test rows, to tune settings on
    #[command(after_help = "Example:\n  das tuning-set --data shop --out shop-tuning\n  \
        das compare --data shop-tuning --variants candidates.toml --out tuning")]
    TuningSet(TuningSetArgs),
    /// Have a language model describe the items and users of a data set from their fields
    #[command(after_help = "Examples:\n  \
        das describe --data shop --model http://localhost:8000/v1 \\\n      \
        --set describe.endpoint.model=qwen2.5-7b-instruct\n  \
        das describe --items new.parquet --model http://localhost:8000/v1 --out described.parquet")]
    Describe(DescribeArgs),
    /// Embed the texts of a data set and keep the vectors beside it
    #[command(after_help = "Example:\n  das embed --data shop\n  \
        das embed --data shop --model models/bge-small-en")]
    Embed(EmbedArgs),
    /// Train user and item tokenizers on a data set and publish their semantic IDs
    #[command(after_help = "Examples:\n  \
        das train --data shop --out runs/first\n  \
        das train --data shop --out runs/long --set train.epochs=12 --seed 3\n  \
        das train --data shop --out runs/first --resume\n  \
        das train --data shop --out runs/letter --method letter")]
    Train(TrainArgs),
    /// Give IDs to new items or users from their content
    #[command(
        after_help = "Example:\n  das encode --run runs/first --items new_items.parquet --out new_ids.parquet"
    )]
    Encode(EncodeArgs),
    /// Show how sound the IDs of a run or of any ID file are
    #[command(after_help = "Examples:\n  \
        das inspect runs/first --data shop\n  \
        das inspect other.index.json --data shop --json")]
    Inspect(InspectArgs),
    /// Write the IDs of a run for other tools
    #[command(
        after_help = "Example:\n  das export --run runs/first --format index-json --out items.index.json"
    )]
    Export(ExportArgs),
    /// Put the artifact of a run where a service watches for it, in one step
    #[command(after_help = "Example:\n  \
        das publish --run runs/first --to served\n  \
        das serve --run served                # and goes on while the next one is published:\n  \
        das publish --run runs/next --to served")]
    Publish(PublishArgs),
    /// Train a generative retriever on the IDs of a run, measure it and keep it in the artifact
    #[command(after_help = "Example:\n  das train-retriever --run runs/first --data shop")]
    TrainRetriever(RecommendArgs),
    /// Train a click-through ranker on the IDs of a run, measure it and keep it in the artifact
    #[command(after_help = "Example:\n  das train-ranker --run runs/first --data shop")]
    TrainRanker(RecommendArgs),
    /// Compare tokenizers: train what is missing, evaluate, and say which differences are real
    #[command(after_help = "Examples:\n  \
        das compare --data shop --out comparison\n  \
        das compare --data shop --methods das,letter,peer.index.json --tasks generative \\\n      \
        --seeds 3 --preset standard --out comparison\n  \
        das compare --data shop --methods das --ablations --tasks generative --out ablations")]
    Compare(CompareArgs),
    /// Hold claims that were written down beforehand against the records of comparisons
    #[command(after_help = "Example:\n  \
        das contrasts --plan plan.toml beauty=comparisons/beauty --out contrasts.jsonl\n\n\
        A plan:\n  \
        [[contrast]]\n  \
        comparison = \"beauty\"\n  \
        task = \"generative\"               # and variant = \"…\", where the task has several\n  \
        metric = \"recall@10\"\n  \
        a = \"das\"\n  \
        b = \"letter\"\n  \
        claim = \"ahead\"                   # the default\n  \
        by = 0.0024                       # or by_relative = 0.08: judged as well\n\n  \
        [[contrast]]\n  \
        comparison = \"beauty\"\n  \
        task = \"cold\"\n  \
        metric = \"recall@10\"\n  \
        a = \"das\"\n  \
        b = \"rqvae\"\n  \
        claim = \"not-worse\"\n  \
        margin_relative = 0.02")]
    Contrasts(ContrastsArgs),
    /// Write one HTML page about a run or a comparison, which works offline and on paper
    #[command(after_help = "Examples:\n  \
        das report runs/first --data shop --out first.html\n  \
        das report comparison --data shop --out comparison.html")]
    Report(ReportArgs),
    /// Serve the IDs of a run online: look up, encode, give IDs to new entities, explain, retrieve
    #[command(after_help = "Examples:\n  \
        das serve --run runs/first\n  \
        das serve --run runs/first --listen 0.0.0.0:8080 --keys keys.txt \\\n      \
        --tls-cert cert.pem --tls-key key.pem\n  \
        das serve --run runs/first --second runs/next --share 0.1\n\n\
        curl -s localhost:8080/v1/lookup -d '{\"ids\": [17, 42]}'")]
    Serve(Box<ServeArgs>),
    /// Measure the speed of the engine
    #[command(after_help = "Example:\n  das bench step --dir yardstick --threads 2 --json")]
    Bench(BenchArgs),
}

/// Settings shared by every command that reads them.
#[derive(Debug, Args)]
pub struct Settings {
    /// Settings in TOML; every key has a default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Override one setting, e.g. train.epochs=12 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// Arguments of `das demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the generated data and both runs in this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of the market and of the training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The data-set folder
    #[arg(long, value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// A table of items instead
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub items: Option<PathBuf>,
    /// A table of users instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "items"])]
    pub users: Option<PathBuf>,
    /// Only this side of the data set
    #[arg(long, value_enum, requires = "data")]
    pub side: Option<SideArg>,
    /// What describes: `template`, which joins the fields; the .gguf file of a language model; or
    /// the address of an OpenAI-compatible endpoint, http://host/v1
    #[arg(long, value_name = "template|FILE|URL")]
    pub model: Option<String>,
    /// The folder, or for a table the Parquet file, to write; the data-set folder by default
    #[arg(long, value_name = "DIR|FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// The data-set folder
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// What embeds: `builtin`, the folder of a published model (config.json, tokenizer.json,
    /// safetensors), or the address of an endpoint, http://host/v1
    #[arg(long, value_name = "builtin|FOLDER|URL")]
    pub model: Option<String>,
    /// Where the vectors go, if not into the data-set folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The data-set folder
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// The run's folder: new, or with --resume that of an interrupted run
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
    /// The tokenizer, over the one in the settings: das, rqvae, rqkmeans, letter or qarm
    #[arg(long)]
    pub method: Option<Method>,
    #[command(flatten)]
    pub settings: Settings,
    /// The seed, over the one in the settings
    #[arg(long)]
    pub seed: Option<u64>,
    /// Continue an interrupted run with the settings it was started with
    #[arg(long, conflicts_with_all = ["config", "overrides", "seed", "method"])]
    pub resume: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das encode`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("entities").required(true).args(["items", "users"]))]
pub struct EncodeArgs {
    /// The run, or its artifact folder
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// Items to encode: a table with item_id and text columns or an embedding column
    #[arg(long, value_name = "FILE")]
    pub items: Option<PathBuf>,
    /// Users to encode: a table with user_id and text columns or an embedding column
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Ready-made vectors of the rows, `[rows, width]`: in the order of the table, or named by the
    /// ids in FILE_ids.parquet
    #[arg(long, value_name = "FILE.npy", conflicts_with = "model")]
    pub vectors: Option<PathBuf>,
    /// Where the published model is now that made the run's vectors: its folder, or the address of
    /// an endpoint
    #[arg(long, value_name = "FOLDER|URL")]
    pub model: Option<String>,
    /// The Parquet file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A run, an artifact folder, or an ID file (.index.json or .parquet)
    #[arg(value_name = "RUN|FILE")]
    pub target: PathBuf,
    /// The data set, for agreement with clicks and categories
    #[arg(long, value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// Item column that holds the categories, if not the first list column
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub category: Option<String>,
    /// How the data set is split, where TARGET does not tell
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run, or its artifact folder
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The format to write
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Whose IDs
    #[arg(long, value_enum, default_value_t = SideArg::Item)]
    pub side: SideArg,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `das publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The run, or its artifact folder
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The folder; the artifact that stands there is replaced, and nothing else is
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Formats of `das export`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExportFormat {
    /// {"17": ["<a_3>", "<b_40>", "<c_7>"], …}, as TIGER and LETTER code reads it
    IndexJson,
    /// A table of id, codes and offset_codes
    Parquet,
}

/// A side on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SideArg {
    /// Users
    User,
    /// Items
    Item,
}

impl From<SideArg> for Side {
    fn from(side: SideArg) -> Side {
        match side {
            SideArg::User => Side::User,
            SideArg::Item => Side::Item,
        }
    }
}

/// Arguments of `das train-retriever` and `das train-ranker`.
#[derive(Debug, Args)]
pub struct RecommendArgs {
    /// The run, or its artifact folder
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The data set that the run was trained on
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// The budget: quick, standard or full
    #[arg(long, default_value_t = Preset::Standard)]
    pub preset: Preset,
    /// Override one setting, e.g. retriever.dim=64 or ranker.fit.epochs=4 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
