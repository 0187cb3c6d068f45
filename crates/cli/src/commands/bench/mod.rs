//! `das bench`: one file a measurement.

mod embed;
mod encode;
mod kmeans;
mod memory;
mod retrieve;
mod retrieve_dir;
mod scale;
mod serve;
mod step;

use crate::args::{Bench, BenchArgs};

/// Runs a measurement.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match &args.what {
        Bench::Step(args) => step::run(args),
        Bench::Retrieve(args) => retrieve::run(args),
        Bench::Encode(args) => encode::run(args),
        Bench::Kmeans(args) => kmeans::run(args),
        Bench::Embed(args) => embed::run(args),
        Bench::Scale(args) => scale::run(args),
        Bench::Serve(args) => serve::run(args),
    }
}
