//! `das bench encode`.

use std::time::Instant;

use das_core::Side;
use das_model::SideEncoder;
use das_model::yardstick::Yardstick;
use das_nn::Device;
use serde_json::json;

use crate::args::BenchEncodeArgs;
use crate::commands::{print, print_json, use_threads};

/// Batches before the clock counts.
const WARM_UP: u32 = 5;

/// Times content → codes for the items of one batch, from given weights.
pub fn run(args: &BenchEncodeArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let yardstick = Yardstick::load(&args.dir, &Device::cpu())?;
    let encoder = SideEncoder::from_params(yardstick.das().params(), Side::Item)?;
    let content = yardstick.content(Side::Item);
    let mut times = Vec::new();
    let mut codes = Vec::new();
    for step in 0..args.steps + WARM_UP {
        let started = Instant::now();
        codes = encoder.encode(content).codes;
        if step >= WARM_UP {
            times.push(started.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let levels = encoder.num_levels();
    let rate = (codes.len() / levels) as f64 / times[times.len() / 2];
    if args.common.json {
        return print_json(&json!({
            "items_per_s": rate.round(),
            "items": codes.len() / levels,
            "first": codes[..levels],
            "sum": codes.iter().map(|&code| u64::from(code)).sum::<u64>(),
            "steps": args.steps,
            "threads": args.common.threads,
        }));
    }
    print(&format!("{rate:.0} items/s (median of {} batches)\n", args.steps))
}
