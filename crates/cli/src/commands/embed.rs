//! `das embed`.

use super::{print, print_json, use_threads};
use crate::args::EmbedArgs;
use crate::config::RunConfig;
use crate::interrupt;
use crate::observe::Bars;
use crate::pipeline::{Context, Prepared, embed_data};

/// Embeds both sides of a data set.
pub fn run(args: &EmbedArgs) -> anyhow::Result<()> {
    let mut config = RunConfig::load(args.settings.config.as_deref(), &args.settings.overrides)?;
    if let Some(model) = &args.model {
        config.embed.choose(model);
    }
    use_threads(config.threads)?;
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let prepared = Prepared::open(&args.data, &config.data)?;
    let folder = args.out.as_deref().unwrap_or(&args.data);
    let context = Context { bars: &bars, cancel: &cancel };
    let made = embed_data(&prepared, &config, folder, context)?;
    if args.json {
        return print_json(&made);
    }
    print(&format!("vectors of users and items are in {}\n", folder.display()))
}
