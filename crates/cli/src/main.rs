//! `das`: build, inspect and use dual-aligned semantic IDs.

// A binary exports nothing: here `pub` marks what a module offers to its siblings.
#![allow(unreachable_pub)]

mod args;
mod commands;
mod config;
mod interrupt;
mod observe;
mod pipeline;
mod report;
mod run_folder;
mod table;
mod telemetry;
mod usage;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match commands::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", usage::message(&error));
            ExitCode::from(usage::exit_code(&error))
        }
    }
}
