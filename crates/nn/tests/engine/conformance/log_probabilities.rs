//! ln p of candidates against a plain log-softmax.

use std::ops::Range;

use das_nn::{Among, Candidates, Device, ParamKind, Tape};
use rand::Rng;
use rstest_reuse::apply;

use super::every_device;
use crate::check::{dot, doubles, rng, seeded_params};

const DENSE: ParamKind = ParamKind::Dense;

/// ln p of each row's candidates in double precision.
fn reference(x: &[f32], catalogue: &[f32], d: usize, o: &Candidates<'_>, among: Among) -> Vec<f64> {
    let (x, catalogue) = (doubles(x), doubles(catalogue));
    let rows = x.chunks_exact(d).zip(o.of_rows);
    rows.flat_map(|(x, list)| {
        let logits: Vec<f64> = catalogue.chunks_exact(d).map(|code| dot(x, code)).collect();
        let list = &o.classes[list.start as usize..list.end as usize];
        let own: Vec<f64> = list.iter().map(|&class| logits[class as usize]).collect();
        let sharing = if among == Among::All { &logits } else { &own };
        let total = sharing.iter().map(|z| z.exp()).sum::<f64>().ln();
        own.into_iter().map(move |z| z - total).collect::<Vec<f64>>()
    })
    .collect()
}

#[apply(every_device)]
fn equal_a_plain_log_softmax_with_few_candidates_and_with_many(device: Device) {
    for (seed, n, classes, d, odds) in
        [(1, 150, 40, 24, 0.1), (2, 150, 40, 24, 0.8), (3, 70, 33, 7, 0.3), (4, 1, 5, 16, 1.0)]
    {
        let (params, p) = seeded_params(&device, &[(DENSE, n, d), (DENSE, classes, d)], seed);
        let mut rng = rng(seed);
        let (mut lists, mut of_rows): (Vec<u32>, Vec<Range<u32>>) = (Vec::new(), Vec::new());
        for row in 0..n {
            let start = lists.len() as u32;
            // Some lists are empty, and one is shared.
            if row % 7 != 3 {
                lists.extend((0..classes as u32).filter(|_| rng.random_bool(odds)));
            }
            let shared = row == 5;
            of_rows.push(if shared { 0..of_rows[0].end } else { start..lists.len() as u32 });
        }
        let candidates = Candidates { classes: &lists, of_rows: &of_rows };
        let [x, catalogue] = [0, 1].map(|at| params.get(p[at]).to_vec());
        for among in [Among::All, Among::Candidates] {
            let mut tape = Tape::inference(&params);
            let [x_var, catalogue_var] = [0, 1].map(|at| tape.param(p[at]));
            let found = tape.log_probabilities(x_var, catalogue_var, &candidates, among);
            let found = tape.value(found).to_vec();
            let expected = reference(&x, &catalogue, d, &candidates, among);
            assert_eq!(found.len(), expected.len());
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-5, "case {seed}, {among:?}, {at}: {found}, {expected}");
            }
        }
    }
}

#[apply(every_device)]
#[should_panic(expected = "a candidate of row 1 is none of 3 classes")]
fn unknown_classes_are_refused(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 2, 4), (DENSE, 3, 4)], 5);
    let mut tape = Tape::inference(&params);
    let [x, catalogue] = [0, 1].map(|at| tape.param(p[at]));
    let candidates = Candidates { classes: &[0, 3], of_rows: &[0..1, 1..2] };
    tape.log_probabilities(x, catalogue, &candidates, Among::All);
}

#[apply(every_device)]
#[should_panic(expected = "passes no gradient on")]
fn gradients_are_not_lost_in_silence(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 2, 4), (DENSE, 3, 4)], 6);
    let mut tape = Tape::new(&params);
    let [x, catalogue] = [0, 1].map(|at| tape.param(p[at]));
    let candidates = Candidates { classes: &[0, 1], of_rows: &[0..1, 1..2] };
    tape.log_probabilities(x, catalogue, &candidates, Among::All);
}
