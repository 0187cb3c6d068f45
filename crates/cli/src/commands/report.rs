//! `das report`.

use das_core::files;
use serde_json::json;

use super::{print, print_json};
use crate::args::ReportArgs;
use crate::observe::Bars;
use crate::pipeline::Context;
use crate::{interrupt, report};

/// Writes the page about a run or a comparison.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let context = Context { bars: &bars, cancel: &cancel };
    let page = report::render(&args.target, args.data.as_deref(), context)?;
    files::write_bytes_atomic(&args.out, page.as_bytes())?;
    if args.json {
        return print_json(&json!({ "out": args.out, "bytes": page.len() }));
    }
    print(&format!("{} ({} kB)\n", args.out.display(), page.len().div_ceil(1000)))
}
