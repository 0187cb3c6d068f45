//! `das describe`.

use std::collections::BTreeMap;
use std::path::Path;

use das_core::{Side, files};
use das_data::tables::read_entities;

use super::{print, print_json, use_threads};
use crate::args::DescribeArgs;
use crate::config::RunConfig;
use crate::interrupt;
use crate::observe::Bars;
use crate::pipeline::{Context, Prepared, Written, describe_sides, describe_table};
use crate::usage::UsageError;

/// Describes both sides of a data set, or a table of items or users.
pub fn run(args: &DescribeArgs) -> anyhow::Result<()> {
    let mut config = RunConfig::load(args.settings.config.as_deref(), &args.settings.overrides)?;
    if let Some(model) = &args.model {
        config.describe.choose(model);
    }
    config.describe.check()?;
    use_threads(config.threads)?;
    let (cancel, bars) = (interrupt::install()?, Bars::new());
    let context = Context { bars: &bars, cancel: &cancel };
    let (written, place) = match (&args.data, &args.items, &args.users, &args.out) {
        (Some(data), None, None, out) => {
            let prepared = Prepared::open(data, &config.data)?;
            let folder = out.as_ref().unwrap_or(data);
            files::create_folder(folder)?;
            let sides = args.side.map_or(Side::BOTH.to_vec(), |side| vec![side.into()]);
            (describe_sides(&prepared, &config, &sides, folder, context)?, folder)
        }
        (None, Some(items), None, Some(out)) => {
            (describe_alone(items, Side::Item, &config, out, context)?, out)
        }
        (None, None, Some(users), Some(out)) => {
            (describe_alone(users, Side::User, &config, out, context)?, out)
        }
        _ => {
            let message = "name one of --data, --items and --users; the last two need --out";
            return Err(UsageError(message.to_string()).into());
        }
    };
    if args.json {
        return print_json(&written);
    }
    print(&format!(
        "descriptions are in {}; `--set data.texts=descriptions` makes texts of them\n",
        place.display()
    ))
}

fn describe_alone(
    path: &Path,
    side: Side,
    config: &RunConfig,
    out: &Path,
    context: Context<'_>,
) -> anyhow::Result<BTreeMap<String, Written>> {
    let table = read_entities(path, side)?.table;
    let written = describe_table(&table, config, out, context)?;
    Ok([(side.name().to_string(), written)].into())
}
