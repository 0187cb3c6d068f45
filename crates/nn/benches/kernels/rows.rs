//! Rows of embedding tables, and what the optimizer does to them.

use criterion::Criterion;
use das_nn::{AdamW, AdamWConfig, Gradients, Params, TableUpdate, Tape, Tensor};
use rand::Rng;

use crate::setup::{Work, both_ways, group, params, rng, throughput};

const TABLE: usize = 50_000;
const DIM: usize = 64;
const BATCH: usize = 4096;

fn drawn(count: usize) -> Vec<u32> {
    let mut rng = rng();
    (0..count).map(|_| rng.random_range(0..TABLE as u32)).collect()
}

pub(crate) fn tables(c: &mut Criterion) {
    let mut group = group(c, "tables");
    let (params, p) = params(&[(TABLE, DIM)]);
    let rows = drawn(BATCH);
    let work = Work::Values(4 * BATCH * DIM);
    both_ways(&mut group, "gather, gradients", &work, &params, |tape| tape.gather(p[0], &rows));
    let bags = drawn(4 * BATCH);
    let work = Work::Values(10 * BATCH * DIM);
    both_ways(&mut group, "gather_bag of 4, gradients", &work, &params, |tape| {
        tape.gather_bag(p[0], &bags, 4)
    });
    let offsets: Vec<u32> = (0..=BATCH as u32).map(|run| run * 4).collect();
    both_ways(&mut group, "mean_runs of 4, gradients", &work, &params, |tape| {
        let rows = tape.gather(p[0], &bags);
        tape.mean_runs(rows, &offsets)
    });
}

fn gradients(params: &Params, rows: &[u32]) -> Gradients {
    let mut tape = Tape::new(params);
    let gathered = tape.gather(params.ids().next().expect("a table"), rows);
    let zeros = tape.input(Tensor::zeros(params.device(), rows.len(), DIM));
    let loss = tape.mse(gathered, zeros, 1.0);
    tape.backward(loss)
}

pub(crate) fn optimizer(c: &mut Criterion) {
    let mut group = group(c, "adamw");
    let rows = drawn(BATCH);
    for (table_update, touched) in [(TableUpdate::Lazy, BATCH), (TableUpdate::Dense, TABLE)] {
        let (mut params, _) = params(&[(TABLE, DIM)]);
        let config = AdamWConfig { table_update, ..AdamWConfig::default() };
        let mut optimizer = AdamW::new(&params, config);
        // Value and both moments are read and written, the gradient is read.
        group.throughput(throughput(&Work::Values(7 * touched * DIM)));
        group.bench_function(format!("{table_update:?}, {BATCH} of {TABLE} rows"), |bencher| {
            let gradients = gradients(&params, &rows);
            bencher.iter(|| optimizer.step(&mut params, &gradients, 1e-3, 1e-3));
        });
    }
}
