//! `das bench embed`.

use std::time::Instant;

use das_content::{Embedder, PlmConfig, PublishedModel};
use das_core::{RowMatrix, files, npy};
use serde_json::json;

use crate::args::BenchEmbedArgs;
use crate::commands::{print, print_json, use_threads};
use crate::interrupt;
use crate::observe::Bars;

/// Texts that are embedded before the clock counts.
const WARM_UP: usize = 64;

/// Times a published model over the lines of a file, tokenizing included and loading not.
pub fn run(args: &BenchEmbedArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let (cancel, bars) = (interrupt::install()?, Bars::new());
    let config = PlmConfig { batch_tokens: args.batch_tokens, ..PlmConfig::default() };
    let model = PublishedModel::local(&args.model, &config, None)?;
    let lines = files::read_text(&args.texts)?;
    let texts: Vec<&str> = lines.lines().collect();
    model.embed(&texts[..texts.len().min(WARM_UP)], &bars, &cancel)?;
    let started = Instant::now();
    let embeddings = model.embed(&texts, &bars, &cancel)?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &args.out {
        npy::write(path, &embeddings.matrix)?;
    }
    let rate = texts.len() as f64 / seconds;
    if args.common.json {
        return print_json(&json!({
            "seconds": seconds,
            "texts": texts.len(),
            "texts_per_s": rate,
            "truncated": embeddings.truncated,
            "dim": embeddings.matrix.dim(),
            "batch_tokens": args.batch_tokens,
            "threads": args.common.threads,
        }));
    }
    let (count, name) = (texts.len(), model.name());
    print(&format!("{count} texts in {seconds:.2} s with {name}: {rate:.0} texts/s\n"))
}
