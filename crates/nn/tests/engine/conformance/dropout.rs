//! Dropout: which values stay, how often, and the gradient.

use das_nn::{Device, ParamKind, Params, Tape, Var};
use rand::Rng;
use rstest_reuse::apply;

use super::every_device;
use crate::check::{doubles, mse, probe, rng, run, seeded_params, uniform};

fn dropped(params: &Params, n: usize, rate: f32, seed: u64) -> Vec<bool> {
    let mut tape = Tape::new(params);
    let ones = tape.input_slice(n, 1, &vec![1.0; n]);
    let y = tape.dropout(ones, rate, &mut rng(seed));
    let kept = 1.0 / (1.0 - rate);
    let of = |y: f32| {
        assert!(y == 0.0 || y == kept, "{y} is neither 0 nor {kept}");
        y == 0.0
    };
    tape.value(y).to_vec().into_iter().map(of).collect()
}

/// Share of dropped values, and that of neighbours and of two keys dropped together, within four
/// standard deviations of independent draws.
#[apply(every_device)]
fn values_are_dropped_independently_at_the_rate(device: Device) {
    let (params, _) = seeded_params(&device, &[], 0);
    const N: usize = 400_000;
    for rate in [0.1f32, 0.5, 0.8] {
        let (first, second) = (dropped(&params, N, rate, 1), dropped(&params, N, rate, 2));
        let share =
            |pairs: &mut dyn Iterator<Item = bool>| pairs.map(f64::from).sum::<f64>() / N as f64;
        let near = |found: f64, expected: f64, what: &str| {
            let deviation = (expected * (1.0 - expected) / N as f64).sqrt();
            assert!((found - expected).abs() < 4.0 * deviation, "{what} at {rate}: {found}");
        };
        let rate = f64::from(rate);
        near(share(&mut first.iter().copied()), rate, "dropped");
        for lag in [1, 2, 16, 64, 1 << 14, 1 << 16] {
            let later = first.iter().cycle().skip(lag);
            let mut both = first.iter().zip(later).map(|(p, q)| *p && *q);
            near(share(&mut both), rate * rate, "dropped together");
        }
        let mut both = first.iter().zip(&second).map(|(p, q)| *p && *q);
        near(share(&mut both), rate * rate, "dropped under both keys");
    }
}

#[apply(every_device)]
fn the_gradient_takes_the_same_mask(device: Device) {
    let (params, p) = seeded_params(&device, &[(ParamKind::Dense, 40_000, 1)], 71);
    let build = |tape: &mut Tape<'_>| -> Var {
        let x = tape.param(p[0]);
        let y = tape.dropout(x, 0.3, &mut rng(3));
        probe(tape, y)
    };
    let (loss, gradients) = run(&params, build);
    let mut tape = Tape::new(&params);
    let ones = tape.input_slice(40_000, 1, &[1.0; 40_000]);
    let mask = tape.dropout(ones, 0.3, &mut rng(3));
    let mask = doubles(&tape.value(mask).to_vec());
    let x = doubles(&params.get(p[0]).to_vec());
    let y: Vec<f64> = x.iter().zip(&mask).map(|(x, mask)| x * mask).collect();
    let target = doubles(&uniform(40_000, &mut rng(99)));
    assert!((f64::from(loss) - mse(&y, &target, 0.7)).abs() < 1e-5 * f64::from(loss));
    for (i, g) in gradients.dense(p[0]).unwrap().into_iter().enumerate() {
        let expected = 1.4 * (y[i] - target[i]) * mask[i];
        assert!((f64::from(g) - expected).abs() < 1e-5, "value {i}: {g}, expected {expected}");
    }
}

#[apply(every_device)]
fn nothing_dropped_draws_nothing(device: Device) {
    let (params, p) = seeded_params(&device, &[(ParamKind::Dense, 3, 2)], 72);
    let mut generator = rng(4);
    for (mut tape, rate) in [(Tape::new(&params), 0.0), (Tape::inference(&params), 0.5)] {
        let x = tape.param(p[0]);
        assert_eq!(tape.dropout(x, rate, &mut generator), x);
    }
    assert_eq!(generator.random::<u64>(), rng(4).random::<u64>());
}

#[apply(every_device)]
#[should_panic(expected = "dropout rate 1 is not in [0, 1)")]
fn everything_dropped_is_refused(device: Device) {
    let (params, p) = seeded_params(&device, &[(ParamKind::Dense, 3, 2)], 73);
    let mut tape = Tape::new(&params);
    let x = tape.param(p[0]);
    tape.dropout(x, 1.0, &mut rng(5));
}
