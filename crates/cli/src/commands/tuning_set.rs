//! `das tuning-set`.

use das_data::{DataSet, Split, write_tuning_set};
use serde_json::json;

use super::{print, print_json};
use crate::args::TuningSetArgs;

/// Writes a data set without the test rows of a split.
pub fn run(args: &TuningSetArgs) -> anyhow::Result<()> {
    let data = DataSet::open(&args.data)?;
    let split = Split::new(&data, args.split)?;
    let written = write_tuning_set(&data, &split, &args.out)?;
    if args.json {
        return print_json(&json!({
            "out": args.out,
            "split": args.split.name(),
            "kept": written.kept,
            "dropped": written.dropped,
        }));
    }
    let (kept, dropped) = (written.kept, written.dropped);
    let out = args.out.display();
    print(&format!("{kept} rows in {out}, {dropped} test rows of {} left out\n", args.split))
}
