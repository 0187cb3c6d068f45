//! The number of threads never changes a bit.

use das_nn::kernels::kmeans::residual_kmeans;
use das_nn::safetensors_io::{NamedTensor, TensorData};
use das_nn::{
    Activation, AdamW, AdamWConfig, Attention, Device, InfoNce, PairMask, ParamId, ParamKind,
    Params, Precision, QuantizeOptions, SoftmaxCe, TableUpdate, Tape, Var,
};
use rand::Rng;
use rayon::ThreadPoolBuilder;

use crate::check::{rng, uniform};

const BATCH: usize = 300;
const WIDTH: usize = 48;

/// Three steps of a little model that uses every operation; all parameters afterwards.
fn train(table_update: TableUpdate, precision: Precision) -> Vec<NamedTensor> {
    let mut rng = rng(91);
    let mut params = Params::new(&Device::cpu_with(precision));
    let mut add = |name: &str, kind, rows: usize, cols: usize| {
        let values = uniform(rows * cols, &mut rng);
        params.add(name, kind, rows, cols, &values).unwrap()
    };
    let (w1, b1) = (add("w1", ParamKind::Dense, 160, WIDTH), add("b1", ParamKind::Dense, 1, 160));
    let (w2, b2) = (add("w2", ParamKind::Dense, 16, 160), add("b2", ParamKind::Dense, 1, 16));
    let books = ["e0", "e1"].map(|name| add(name, ParamKind::Dense, 40, 16));
    let table = add("table", ParamKind::Table, 1000, 16);
    let block = Block {
        wide: [add("w3", ParamKind::Dense, 48, 16), add("b3", ParamKind::Dense, 1, 48)],
        square: [add("w4", ParamKind::Dense, 16, 16), add("b4", ParamKind::Dense, 1, 16)],
        norm: [add("gain", ParamKind::Dense, 1, 16), add("bias", ParamKind::Dense, 1, 16)],
        last: [add("w5", ParamKind::Dense, 1, 16), add("b5", ParamKind::Dense, 1, 1)],
    };
    let mut optimizer = AdamW::new(&params, AdamWConfig { table_update, ..Default::default() });
    for _ in 0..3 {
        let x = uniform(BATCH * WIDTH, &mut rng);
        let rows: Vec<u32> = (0..BATCH).map(|_| rng.random_range(0..1000)).collect();
        let order: Vec<u32> = (0..BATCH).map(|_| rng.random_range(0..BATCH as u32)).collect();
        let weights: Vec<f32> = (0..BATCH).map(|_| rng.random()).collect();
        let mask = PairMask::from_rows(BATCH, [(3, [4u32, 9, 250]), (200, [0, 1, 299])]).unwrap();
        let key = rng.random();
        let mut tape = Tape::new(&params);
        let x = tape.input_slice(BATCH, WIDTH, &x);
        let h = tape.linear(x, w1, b1, Activation::Relu);
        let z = tape.linear(h, w2, b2, Activation::Identity);
        let o = QuantizeOptions { commitment_weight: 0.25, scale: 1e-3, straight_to_codes: true };
        let q = tape.residual_quantize(z, &books, &o);
        let e = tape.gather(table, &rows);
        let (a, b) = (tape.normalize(q.through), tape.normalize(e));
        let partner = tape.select_rows(b, &order);
        let options = InfoNce {
            mask: Some(&mask),
            row_weights: Some(&weights),
            log_q: Some(&weights),
            ..InfoNce::new(0.1)
        };
        let both = tape.concat(&[a, b]);
        let other = tape.concat(&[b, partner]);
        let losses = [
            (q.loss, 1.0),
            (tape.info_nce(a, b, &options), 1.0),
            (tape.info_nce(b, partner, &InfoNce::new(0.2)), 0.5),
            (tape.squared_cosine(z, e), 0.3),
            (tape.mse(both, other, 1e-3), 1.0),
            (recommend(&mut tape, &rows, table, &block, key), 1.0),
        ];
        let loss = tape.weighted_sum(&losses);
        let mut gradients = tape.backward(loss);
        gradients.clip(1.0);
        optimizer.step(&mut params, &gradients, 1e-2, 1e-2);
    }
    params.to_tensors()
}

struct Block {
    wide: [ParamId; 2],
    square: [ParamId; 2],
    norm: [ParamId; 2],
    last: [ParamId; 2],
}

/// A small recommender over bags of `table`, with a softmax over all of it.
fn recommend(tape: &mut Tape<'_>, rows: &[u32], table: ParamId, p: &Block, key: u64) -> Var {
    let x = tape.gather_bag(table, rows, 2);
    let x = tape.layer_norm(x, p.norm[0], p.norm[1], Tape::LAYER_NORM_EPS);
    let qkv = tape.linear(x, p.wide[0], p.wide[1], Activation::GeluTanh);
    let [q, k, v] = [0, 16, 32].map(|at| tape.columns(qkv, at..at + 16));
    let offsets: Vec<u32> = (0..=50).map(|s| s * 3).collect();
    let o = Attention { heads: 2, queries: &offsets, keys: &offsets, causal: true };
    let y = tape.attention(q, k, v, &o);
    let y = tape.dropout(y, 0.2, &mut rng(key));
    let x = tape.add(x, y);
    let y = tape.linear(x, p.square[0], p.square[1], Activation::Gelu);
    let y = tape.multiply(y, x);
    let y = tape.cross(x, y, p.square[0], p.square[1]);
    let catalogue = tape.param(table);
    let targets: Vec<u32> = rows.iter().copied().step_by(2).collect();
    let weights: Vec<f32> = targets.iter().map(|&target| (target % 5) as f32).collect();
    let o = SoftmaxCe {
        scale: 0.5,
        label_smoothing: 0.1,
        row_weights: Some(&weights),
        ..Default::default()
    };
    let scores = tape.select_rows(catalogue, &targets[..40]);
    let scores = tape.scores(y, scores);
    let zeros = tape.input_slice(BATCH / 2, 40, &vec![0.0; BATCH * 20]);
    let logits = tape.linear(y, p.last[0], p.last[1], Activation::Identity);
    let labels: Vec<f32> = targets.iter().map(|&target| (target % 2) as f32).collect();
    let losses = [
        (tape.softmax_ce(y, catalogue, &targets, &o), 1.0),
        (tape.bce_with_logits(logits, &labels, Some(&weights)), 1.0),
        (tape.mse(scores, zeros, 1e-4), 1.0),
    ];
    tape.weighted_sum(&losses)
}

fn bits(tensor: &NamedTensor) -> Vec<u32> {
    let TensorData::F32(values) = &tensor.data else { panic!("a parameter holds floats") };
    values.iter().map(|v| v.to_bits()).collect()
}

fn with_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

#[test]
fn training_steps() {
    for (table_update, precision) in [
        (TableUpdate::Lazy, Precision::F32),
        (TableUpdate::Dense, Precision::F32),
        (TableUpdate::Lazy, Precision::Bf16),
    ] {
        let alone = with_threads(1, || train(table_update, precision));
        for threads in [2, 3] {
            let together = with_threads(threads, || train(table_update, precision));
            for (p, q) in alone.iter().zip(&together) {
                assert_eq!(bits(p), bits(q), "`{}` with {threads} threads", p.name);
            }
        }
    }
}

#[test]
fn clustering() {
    let points = uniform(3000 * 8, &mut rng(92));
    let run = || residual_kmeans(&points, 8, &[50, 30], 6, &mut rng(93));
    let alone = with_threads(1, run);
    assert_eq!(alone, with_threads(2, run));
    assert_eq!(alone, with_threads(3, run));
}
