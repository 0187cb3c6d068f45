//! `das export`.

use das_core::Side;
use das_core::artifact::Artifact;
use das_core::sid::files::{write_index_json, write_parquet};

use super::{print, print_json};
use crate::args::{ExportArgs, ExportFormat};
use crate::run_folder::artifact_of;

/// Writes the IDs of one side of a run.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let artifact = Artifact::open(&artifact_of(&args.run))?;
    let side = Side::from(args.side);
    let sids = artifact.sids(side)?;
    match args.format {
        ExportFormat::IndexJson => write_index_json(&args.out, &sids.ids, &sids.table)?,
        ExportFormat::Parquet => write_parquet(&args.out, side, &sids.ids, &sids.table)?,
    }
    if args.json {
        return print_json(&serde_json::json!({
            "out": args.out,
            "side": side,
            "rows": sids.table.len(),
            "layout": sids.table.layout(),
        }));
    }
    print(&format!("{} {side} IDs are in {}\n", sids.table.len(), args.out.display()))
}
