//! One file a command.

mod bench;
mod compare;
mod contrasts;
mod demo;
mod describe;
mod embed;
mod encode;
mod export;
pub mod import;
mod inspect;
mod market;
mod publish;
mod recommend;
mod report;
mod serve;
mod train;
mod tuning_set;

use crate::args::Command;

/// Runs a command to its end.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Market(args) => market::run(&args),
        Command::TuningSet(args) => tuning_set::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::TrainRetriever(args) => recommend::retriever(&args),
        Command::TrainRanker(args) => recommend::ranker(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Contrasts(args) => contrasts::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Serve(args) => serve::run(*args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// Uses `threads` workers for everything that follows, 0 for one a core. This thread is one of
/// them: parallel work that it starts need not be handed over and waited for, which is a fifth of
/// a training's time on one thread.
fn use_threads(threads: usize) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
    Ok(pool.build_global()?)
}

/// Prints a result that a program reads.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints to standard output; a closed pipe (`das inspect … | head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
