//! `das bench step`.

use std::time::Instant;

use das_model::yardstick::Yardstick;
use das_nn::Device;
use das_recommend::yardstick::{RankerYardstick, RetrieverYardstick};
use serde_json::json;

use crate::args::{BenchModel, BenchStepArgs};
use crate::commands::{print, print_json, use_threads};

/// Steps before the clock counts.
const WARM_UP: u32 = 5;
/// Losses that are shown, to be held against other implementations.
const LOSSES: u32 = 3;

/// Times training steps from given weights and batches.
pub fn run(args: &BenchStepArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let device = Device::cpu_with(args.precision.into());
    match args.model {
        BenchModel::Tokenizer => {
            let mut yardstick = Yardstick::load(&args.dir, &device)?;
            time(args, || Ok(yardstick.step().0))
        }
        BenchModel::Ranker => {
            let yardstick = RankerYardstick::load(&args.dir)?;
            let mut steps = yardstick.steps(&device)?;
            time(args, || Ok(steps.step()?))
        }
        BenchModel::Retriever => {
            let yardstick = RetrieverYardstick::load(&args.dir)?;
            let mut steps = yardstick.steps(&device)?;
            time(args, || Ok(steps.step()?))
        }
    }
}

/// Times `next`, a step that returns its loss.
fn time(args: &BenchStepArgs, mut next: impl FnMut() -> anyhow::Result<f32>) -> anyhow::Result<()> {
    let mut losses = Vec::new();
    let mut times = Vec::new();
    for step in 0..args.steps + WARM_UP {
        let started = Instant::now();
        let loss = next()?;
        if step >= WARM_UP {
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        if step < LOSSES {
            losses.push(loss);
        }
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    if args.common.json {
        return print_json(&json!({
            "ms": median,
            "first_losses": losses,
            "fastest_ms": times[0],
            "slowest_ms": times[times.len() - 1],
            "steps": args.steps,
            "threads": args.common.threads,
        }));
    }
    print(&format!("{median:.1} ms a step (median of {}), losses {losses:?}\n", args.steps))
}
