//! Parameters, inputs and the two ways to time an operation.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use das_nn::{Device, ParamId, ParamKind, Params, Tape, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a call has to do at least.
pub(crate) enum Work {
    Operations(usize),
    /// Of 4 bytes each, read or written.
    Values(usize),
}

pub(crate) fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    group
}

pub(crate) fn throughput(work: &Work) -> Throughput {
    match work {
        Work::Operations(count) => Throughput::Elements(*count as u64),
        Work::Values(count) => Throughput::Bytes(*count as u64 * 4),
    }
}

pub(crate) fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// Values between -1 and 1.
pub(crate) fn uniform(count: usize) -> Vec<f32> {
    let mut rng = rng();
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Parameters of the given shapes; a table is one of more than 10,000 rows.
pub(crate) fn params(shapes: &[(usize, usize)]) -> (Params, Vec<ParamId>) {
    params_on(&Device::cpu(), shapes)
}

/// The same on a device.
pub(crate) fn params_on(device: &Device, shapes: &[(usize, usize)]) -> (Params, Vec<ParamId>) {
    let mut params = Params::new(device);
    let mut add = |(at, &(rows, cols)): (usize, &(usize, usize))| {
        let kind = if rows > 10_000 { ParamKind::Table } else { ParamKind::Dense };
        let values = uniform(rows * cols);
        params.add(&format!("p{at}"), kind, rows, cols, &values).expect("a new parameter")
    };
    let ids = shapes.iter().enumerate().map(&mut add).collect();
    (params, ids)
}

/// Times an operation without a record of it.
pub(crate) fn forward(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    work: &Work,
    params: &Params,
    operation: impl Fn(&mut Tape<'_>) -> Var,
) {
    group.throughput(throughput(work));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut tape = Tape::inference(params);
            operation(&mut tape)
        });
    });
}

/// Times a loss, or the squared error of a matrix, with its gradients.
pub(crate) fn both_ways(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    work: &Work,
    params: &Params,
    operation: impl Fn(&mut Tape<'_>) -> Var,
) {
    group.throughput(throughput(work));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut tape = Tape::new(params);
            let y = operation(&mut tape);
            let loss = match tape.shape(y) {
                (1, 1) => y,
                _ => {
                    let constant = tape.detach(y);
                    tape.mse(y, constant, 1.0)
                }
            };
            tape.backward(loss)
        });
    });
}
