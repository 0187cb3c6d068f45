//! Products, nearest codes and frozen encoders on slices.

use das_nn::kernels::{FrozenCodebooks, FrozenLayers, Quantized, assign, matmul};
use rand::Rng;

use crate::check::{self, doubles, mse, rng, transpose, uniform};

/// Shapes around the tile boundaries, and empty ones.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (3, 0, 2),
    (0, 4, 3),
    (4, 3, 0),
    (5, 7, 127),
    (33, 20, 128),
    (70, 40, 300),
    (1030, 3, 140),
    (300, 65, 31),
];

fn assert_close(got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (at, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(*g) - e).abs() < 1e-4, "value {at}: {g}, expected {e}");
    }
}

#[test]
fn products_match_plain_loops() {
    for (m, k, n) in SHAPES {
        let mut rng = rng(51);
        let (a, b) = (uniform(m * k, &mut rng), uniform(k * n, &mut rng));
        let (da, db) = (doubles(&a), doubles(&b));
        let mut out = vec![f32::NAN; m * n];
        matmul::ab(&a, &b, (m, k, n), &mut out);
        assert_close(&out, &check::matmul(&da, &db, (m, k, n)));
        out.fill(f32::NAN);
        matmul::abt(&a, &b, (m, k, n), &mut out);
        assert_close(&out, &check::matmul(&da, &transpose(&db, n, k), (m, k, n)));
        out.fill(f32::NAN);
        matmul::atb(&a, &b, (m, k, n), &mut out);
        assert_close(&out, &check::matmul(&transpose(&da, k, m), &db, (m, k, n)));
    }
}

#[test]
fn nearest_codes_match_plain_loops() {
    for (n, k, d) in [(1, 1, 1), (200, 17, 3), (300, 256, 32), (129, 5, 40)] {
        let mut rng = rng(53);
        let (x, book) = (uniform(n * d, &mut rng), uniform(k * d, &mut rng));
        let found = assign(&x, &book, d);
        for (row, x) in doubles(&x).chunks(d).enumerate() {
            let distances: Vec<f64> = doubles(&book).chunks(d).map(|e| mse(x, e, 1.0)).collect();
            let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(distances[found.codes[row] as usize] <= least + 1e-5);
            assert!((f64::from(found.distances[row]) - least).abs() < 1e-4);
        }
    }
    let none = assign(&[], &[1.0, 2.0], 2);
    assert!(none.codes.is_empty() && none.distances.is_empty());
}

#[test]
fn the_lowest_of_equal_codes_wins() {
    let book: Vec<f32> = [0.5, 2.0].repeat(50);
    let found = assign(&[0.4, 2.1, 9.0], &book, 1);
    assert_eq!(found.codes, [0, 1, 1]);
}

/// Layers and codebooks drawn at random, and content, at sizes that fill no block.
#[test]
fn frozen_encoder_equals_layers_and_nearest_codes() {
    let (rows, widths, sizes) = (437, [37, 50, 9], [40, 7, 33]);
    let mut rng = rng(11);
    let mut draw =
        |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let weights: Vec<(Vec<f32>, Vec<f32>)> =
        widths.windows(2).map(|pair| (draw(pair[0] * pair[1]), draw(pair[1]))).collect();
    let books: Vec<Vec<f32>> = sizes.iter().map(|size| draw(size * 9)).collect();
    let content = draw(rows * 37);

    let mut z = content.clone();
    for (at, (w, b)) in weights.iter().enumerate() {
        let mut next = vec![0.0; rows * b.len()];
        matmul::abt(&z, w, (rows, w.len() / b.len(), b.len()), &mut next);
        next.iter_mut().zip(b.iter().cycle()).for_each(|(y, b)| *y += b);
        if at == 0 {
            next.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        z = next;
    }
    let layers = FrozenLayers::new(weights.iter().map(|(w, b)| (&w[..], &b[..])));
    let found = layers.forward(&content);
    assert!(found.iter().zip(&z).all(|(a, b)| (a - b).abs() < 1e-4));

    let (mut codes, mut quantized, mut last) =
        (vec![0; rows * 3], vec![0.0; rows * 9], vec![0.0; rows * 9]);
    let room =
        Quantized { codes: &mut codes, quantized: &mut quantized, last_residuals: &mut last };
    let frozen = FrozenCodebooks::new(books.iter().map(Vec::as_slice), 9);
    frozen.encode(&layers, &content, room);
    let mut residuals = found;
    for (level, book) in books.iter().enumerate() {
        if level == 2 {
            assert_eq!(residuals, last);
        }
        let nearest = assign(&residuals, book, 9);
        for (row, r) in residuals.chunks_exact_mut(9).enumerate() {
            let code = codes[row * 3 + level];
            let distance = |code: u32| -> f32 {
                let e = &book[code as usize * 9..][..9];
                r.iter().zip(e).map(|(r, e)| (r - e) * (r - e)).sum()
            };
            assert!(distance(code) <= distance(nearest.codes[row]) + 1e-5);
            let e = &book[code as usize * 9..][..9];
            r.iter_mut().zip(e).for_each(|(r, e)| *r -= e);
        }
    }
    for ((q, r), z) in quantized.iter().zip(&residuals).zip(&layers.forward(&content)) {
        assert!((q + r - z).abs() < 1e-4);
    }
}
