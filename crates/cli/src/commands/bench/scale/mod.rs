//! `das bench scale`: one size a call, for memory is that of the process.

mod log;
mod phases;
mod watch;

use std::path::Path;

use das_core::checkpoints::CheckpointStore;
use das_core::{Clicks, Side};
use das_data::TrainingClicks;
use das_model::{Inputs, Method, Run, Settings, TrainConfig, train_method};
use das_nn::Device;
use serde_json::json;

use self::log::LogSize;
use self::phases::{Phase, Phases};
use self::watch::{StepClock, WatchedClicks};
use crate::args::BenchScaleArgs;
use crate::commands::{print, print_json, use_threads};
use crate::config::RunConfig;
use crate::interrupt;
use crate::observe::Bars;
use crate::pipeline::{Context, Prepared, vectors};
use crate::usage::UsageError;

/// Steps before the clock counts.
const WARM_UP: usize = 5;

/// What one size took.
struct Measured {
    phases: Vec<Phase>,
    /// Training clicks, and the users and items among them.
    training_clicks: usize,
    clicked: [usize; 2],
    /// Time of a step, median, and of the slowest one.
    step_seconds: f64,
    slowest_seconds: f64,
}

/// Generates a log, opens and trains on it as `das train` does, with codes in use from the first
/// step, and stops inside the first epoch.
pub fn run(args: &BenchScaleArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let folder = tempfile::tempdir()?;
    let measured = measure(args, folder.path())?;
    if args.common.json {
        print_json(&record(args, &measured))
    } else {
        print(&table(args, &measured))
    }
}

fn measure(args: &BenchScaleArgs, folder: &Path) -> anyhow::Result<Measured> {
    let (cancel, bars) = (interrupt::install()?, Bars::new());
    let context = Context { bars: &bars, cancel: &cancel };
    let phases = Phases::start();
    let data = folder.join("data");
    size(args).write(args.seed, &data)?;
    phases.end("generate");

    let config = settings(args)?;
    let prepared = Prepared::open(&data, &config.data)?;
    check_steps(args, &prepared.clicks)?;
    let [users, items] =
        Side::BOTH.map(|side| vectors(&prepared, &config, side, &folder.join("content"), context));
    let (users, items) = (users?.matrix, items?.matrix);
    phases.end("prepare");

    let clicks = WatchedClicks { clicks: &prepared.clicks, phases: &phases };
    let content = [&*users, &*items];
    let inputs = Inputs { clicks: &clicks, content, validation: None, collaborative: [None; 2] };
    let store = Some(CheckpointStore::open(&folder.join("checkpoints"))?);
    let run = Run { device: &Device::cpu(), inputs, seed: args.seed, store };
    let settings =
        Settings { model: &config.model, train: &config.train, methods: &config.methods() };
    let mut clock = StepClock::new(&phases, &cancel, WARM_UP + args.steps as usize);
    let trained = train_method(Method::Das, settings, &run, &mut clock, &cancel);
    phases.end("checkpoint");
    // The stop that the clock asked for is the end of the measurement.
    if !clock.is_done() {
        trained?;
    }
    let mut steps = clock.seconds()[WARM_UP..].to_vec();
    steps.sort_by(f64::total_cmp);
    Ok(Measured {
        phases: phases.done(),
        training_clicks: prepared.clicks.num_clicks(),
        clicked: [prepared.clicks.user_clicks(), prepared.clicks.item_clicks()]
            .map(|counts| counts.iter().filter(|&&count| count > 0).count()),
        step_seconds: steps[steps.len() / 2],
        slowest_seconds: steps[steps.len() - 1],
    })
}

fn size(args: &BenchScaleArgs) -> LogSize {
    LogSize {
        users: args.users as usize,
        items: args.items as usize,
        clicks: args.clicks as usize,
        content_dim: args.content_dim.into(),
    }
}

/// The defaults, with codes from the first step on.
fn settings(args: &BenchScaleArgs) -> anyhow::Result<RunConfig> {
    let mut config = RunConfig::load(None, &[])?;
    let batch_size = args.batch as usize;
    config.train = TrainConfig {
        batch_size,
        quantize_after: 0,
        // The one at the end is enough, and is told apart.
        checkpoint_steps: u64::MAX,
        ..config.train
    };
    Ok(config)
}

/// What comes between epochs is no part of a step.
fn check_steps(args: &BenchScaleArgs, clicks: &TrainingClicks) -> anyhow::Result<()> {
    let (clicks, wanted) = (clicks.num_clicks(), WARM_UP + args.steps as usize);
    let epoch = clicks / args.batch as usize;
    if wanted <= epoch {
        return Ok(());
    }
    Err(UsageError(format!(
        "--steps {}: with {WARM_UP} that are not timed {wanted}, expected at most the {epoch} of \
         an epoch of {clicks} training clicks, {} a step",
        args.steps, args.batch
    ))
    .into())
}

impl Measured {
    fn seconds(&self, name: &str) -> f64 {
        self.phases.iter().filter(|phase| phase.name == name).map(|phase| phase.seconds).sum()
    }

    /// µs of a step for each of its clicks, and of drawing the epoch for each of its clicks.
    fn sample_micros(&self, batch: u32) -> [f64; 2] {
        let draw = self.seconds("epoch") / self.training_clicks as f64;
        [self.step_seconds / f64::from(batch), draw].map(|seconds| seconds * 1e6)
    }
}

fn record(args: &BenchScaleArgs, measured: &Measured) -> serde_json::Value {
    let [step, draw] = measured.sample_micros(args.batch);
    let [clicked_users, clicked_items] = measured.clicked;
    json!({
        "users": args.users,
        "items": args.items,
        "clicks": args.clicks,
        "content_dim": args.content_dim,
        "batch": args.batch,
        "steps": args.steps,
        "threads": args.common.threads,
        "seed": args.seed,
        "training_clicks": measured.training_clicks,
        "clicked_users": clicked_users,
        "clicked_items": clicked_items,
        "ms_per_step": measured.step_seconds * 1e3,
        "slowest_ms": measured.slowest_seconds * 1e3,
        "us_per_sample": step + draw,
        "step_us_per_sample": step,
        "draw_us_per_sample": draw,
        "phases": measured.phases,
    })
}

fn table(args: &BenchScaleArgs, measured: &Measured) -> String {
    let mut text = format!(
        "{} clicks of {} users and {} items, vectors of width {}\n\n{:<12}{:>10}{:>14}{:>10}{:>13}\
         {:>14}\n",
        args.clicks,
        args.users,
        args.items,
        args.content_dim,
        "phase",
        "seconds",
        "resident MB",
        "peak MB",
        "private MB",
        "its peak MB"
    );
    for Phase { name, seconds, memory } in &measured.phases {
        text += &format!("{name:<12}{seconds:>10.3}");
        if let Some(memory) = memory {
            text += &format!(
                "{:>14.0}{:>10.0}{:>13.0}{:>14.0}",
                memory.resident_mb, memory.peak_mb, memory.private_mb, memory.private_peak_mb
            );
        }
        text.push('\n');
    }
    let [step, draw] = measured.sample_micros(args.batch);
    text + &format!(
        "\n{:.2} ms a step (median of {}), {:.2} µs a sample and {draw:.2} µs to draw it\n",
        measured.step_seconds * 1e3,
        args.steps,
        step
    )
}
