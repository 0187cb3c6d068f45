//! `das bench kmeans`.

use std::time::Instant;

use anyhow::{Context as _, bail};
use das_core::RowMatrix;
use das_core::npy::{self, NpyMatrix};
use das_core::streams::stream;
use das_nn::kernels::kmeans::residual_kmeans;
use serde_json::json;

use crate::args::BenchKmeansArgs;
use crate::commands::{print, print_json, use_threads};

/// Times residual k-means on the rows of a file, seeding included.
pub fn run(args: &BenchKmeansArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let NpyMatrix::Mapped(matrix) = npy::open(&args.vectors)? else {
        bail!("{}: expected little-endian f32 values", args.vectors.display());
    };
    let (points, dim) = (matrix.consecutive(0..matrix.rows()), matrix.dim());
    let points = points.filter(|points| !points.is_empty());
    let points =
        points.with_context(|| format!("{}: has no rows", args.vectors.display()))?.to_vec();
    let sizes = vec![usize::from(args.codes); args.levels.into()];
    let mut times = Vec::new();
    let mut inertia = Vec::new();
    for seed in 0..args.rounds.into() {
        let mut rng = stream(seed, "bench", 0);
        let started = Instant::now();
        let found = residual_kmeans(&points, dim, &sizes, args.iterations.into(), &mut rng);
        times.push(started.elapsed().as_secs_f64());
        inertia.push(found.inertia.last().copied().unwrap_or_default());
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (seconds, inertia) = (median(&mut times), median(&mut inertia));
    if args.common.json {
        return print_json(&json!({
            "seconds": seconds,
            "inertia": inertia,
            "rows": matrix.rows(),
            "dim": dim,
            "threads": args.common.threads,
        }));
    }
    print(&format!("{seconds:.3} s, squared error {inertia:.1} (medians of {})\n", args.rounds))
}
