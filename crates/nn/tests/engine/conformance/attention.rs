//! Attention over packed sequences against a plain implementation.

use das_nn::{Attention, Device, ParamKind, Tape};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{
    check_gradients, check_params, dot, doubles, probe, probe_reference, run, seeded_params,
};

const DENSE: ParamKind = ParamKind::Dense;

/// Attention as the paper writes it, sequence by sequence and head by head.
fn reference(q: &[f64], k: &[f64], v: &[f64], d: usize, o: &Attention<'_>) -> Vec<f64> {
    let width = d / o.heads;
    let mut y = vec![0.0; q.len()];
    for (queries, keys) in o.queries.windows(2).zip(o.keys.windows(2)) {
        for head in 0..o.heads {
            let of = |x: &[f64], row: u32| x[row as usize * d + head * width..][..width].to_vec();
            for query in queries[0]..queries[1] {
                let seen = keys[0]..if o.causal { query + 1 } else { keys[1] };
                let row = of(q, query);
                let logit = |key| dot(&row, &of(k, key)) / (width as f64).sqrt();
                let weights: Vec<f64> = seen.clone().map(|key| logit(key).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, key) in weights.iter().zip(seen) {
                    let out = &mut y[query as usize * d + head * width..][..width];
                    for (y, v) in out.iter_mut().zip(of(v, key)) {
                        *y += weight / total * v;
                    }
                }
            }
        }
    }
    y
}

/// Offsets of sequences of the given lengths.
fn offsets(lengths: &[u32]) -> Vec<u32> {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn check(device: &Device, d: usize, o: &Attention<'_>) {
    let (n, m) = (*o.queries.last().unwrap() as usize, *o.keys.last().unwrap() as usize);
    check_gradients(
        device,
        &[(DENSE, n, d), (DENSE, m, d), (DENSE, m, d)],
        31,
        |tape, p| {
            let [q, k, v] = [p[0], p[1], p[2]].map(|id| tape.param(id));
            let y = tape.attention(q, k, v, o);
            probe(tape, y)
        },
        |x| probe_reference(&reference(&x[0], &x[1], &x[2], d, o)),
    );
}

#[apply(every_device)]
fn causal_and_ragged(device: Device) {
    let rows = offsets(&[3, 1, 0, 5, 2]);
    for (d, heads) in [(4, 1), (6, 3), (20, 1), (40, 2), (8, 8)] {
        check(&device, d, &Attention { heads, queries: &rows, keys: &rows, causal: true });
    }
}

#[apply(every_device)]
fn all_keys_of_another_length(device: Device) {
    let queries = offsets(&[1, 4, 0, 2, 1]);
    let keys = offsets(&[5, 2, 3, 1, 0]);
    for (d, heads) in [(4, 1), (6, 2), (34, 2)] {
        check(&device, d, &Attention { heads, queries: &queries, keys: &keys, causal: false });
    }
}

#[apply(every_device)]
fn several_blocks_of_sequences(device: Device) {
    let rows = offsets(&[2, 1, 3].repeat(25));
    check(&device, 2, &Attention { heads: 1, queries: &rows, keys: &rows, causal: true });
}

#[apply(every_device)]
fn one_matrix_as_queries_keys_and_values(device: Device) {
    let rows = offsets(&[4, 2]);
    let o = Attention { heads: 2, queries: &rows, keys: &rows, causal: true };
    check_gradients(
        &device,
        &[(DENSE, 6, 6)],
        32,
        |tape, p| {
            let x = tape.param(p[0]);
            let y = tape.attention(x, x, x, &o);
            probe(tape, y)
        },
        |v| probe_reference(&reference(&v[0], &v[0], &v[0], 6, &o)),
    );
}

#[apply(every_device)]
fn constant_queries(device: Device) {
    let (queries, keys) = (offsets(&[1, 1]), offsets(&[2, 3]));
    let o = Attention { heads: 1, queries: &queries, keys: &keys, causal: false };
    let (params, p) = seeded_params(&device, &[(DENSE, 5, 2)], 33);
    let q = [0.5, -1.0, 2.0, 0.25];
    check_params(
        &params,
        &p,
        |tape, p| {
            let (q, x) = (tape.input_slice(2, 2, &q), tape.param(p[0]));
            let y = tape.attention(q, x, x, &o);
            probe(tape, y)
        },
        |v| probe_reference(&reference(&q.map(f64::from), &v[0], &v[0], 2, &o)),
    );
}

#[apply(every_device)]
fn no_keys_give_zeros_and_no_sequences_nothing(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 3, 4), (DENSE, 0, 4)], 34);
    let (queries, keys) = ([0, 1, 3], [0, 0, 0]);
    let o = Attention { heads: 2, queries: &queries, keys: &keys, causal: false };
    let mut tape = Tape::new(&params);
    let (q, empty) = (tape.param(p[0]), tape.param(p[1]));
    let y = tape.attention(q, empty, empty, &o);
    assert_eq!(tape.value(y).to_vec(), [0.0; 12]);
    let o = Attention { queries: &[0], keys: &[0], ..o };
    let nothing = tape.attention(empty, empty, empty, &o);
    assert_eq!(tape.shape(nothing), (0, 4));
    let losses = [(probe(&mut tape, y), 1.0), (probe(&mut tape, nothing), 1.0)];
    let loss = tape.weighted_sum(&losses);
    assert_eq!(tape.backward(loss).dense(p[0]).unwrap(), [0.0; 12]);
}

#[apply(every_device)]
fn extreme_logits_stay_finite(device: Device) {
    let (mut params, p) = seeded_params(&device, &[(DENSE, 4, 2)], 35);
    params.set(p[0], &[1e4, -1e4, 3e4, 0.0, -2e4, 1.0, 0.0, 0.0]).unwrap();
    let o = Attention { heads: 1, queries: &[0, 4], keys: &[0, 4], causal: false };
    let (loss, gradients) = run(&params, |tape| {
        let x = tape.param(p[0]);
        let y = tape.attention(x, x, x, &o);
        probe(tape, y)
    });
    assert!(loss.is_finite() && gradients.is_finite());
}

#[apply(every_device)]
#[should_panic(expected = "offsets are ascending from 0 to 4")]
fn offsets_that_do_not_cover_the_rows(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 4, 2)], 36);
    let mut tape = Tape::new(&params);
    let x = tape.param(p[0]);
    let o = Attention { heads: 1, queries: &[0, 3], keys: &[0, 3], causal: true };
    tape.attention(x, x, x, &o);
}

#[apply(every_device)]
fn inference_on_short_and_long_sequences(device: Device) {
    let rows = offsets(&[130, 3, 0, 47, 48, 64, 65]);
    let keys = offsets(&[2, 200, 5, 48, 47, 0, 70]);
    let n = *rows.last().unwrap() as usize;
    let m = *keys.last().unwrap() as usize;
    let (params, p) = seeded_params(&device, &[(DENSE, n, 12), (DENSE, n.max(m), 12)], 37);
    for (keys, causal) in [(&rows, true), (&rows, false), (&keys, false)] {
        let o = Attention { heads: 3, queries: &rows, keys, causal };
        let m = *keys.last().unwrap() as usize;
        let mut tape = Tape::inference(&params);
        let (q, all) = (tape.param(p[0]), tape.param(p[1]));
        let k = tape.select_rows(all, &(0..m as u32).collect::<Vec<_>>());
        let y = tape.attention(q, k, k, &o);
        let [q, k] = [q, k].map(|x| doubles(&tape.value(x).to_vec()));
        let expected = reference(&q, &k, &k, 12, &o);
        for (y, e) in tape.into_value(y).to_vec().into_iter().zip(expected) {
            assert!((f64::from(y) - e).abs() < 1e-5, "{y}, expected {e}");
        }
    }
}
