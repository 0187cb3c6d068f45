//! k-means: it descends, it beats chance, and it copes with poor data.

use das_nn::kernels::kmeans::{kmeans, refine_residual_kmeans, residual_kmeans};
use rand::Rng;

use crate::check::{doubles, mse, rng, uniform};

/// Points around `k` well separated centres.
fn blobs(k: usize, each: usize, d: usize) -> Vec<f32> {
    let mut rng = rng(61);
    let centres = uniform(k * d, &mut rng);
    (0..k * each)
        .flat_map(|i| centres[i % k * d..][..d].to_vec())
        .map(|centre| 20.0 * centre + rng.random_range(-0.5..0.5))
        .collect()
}

fn inertia(points: &[f32], d: usize, centroids: &[f32], assignments: &[u32]) -> f64 {
    let (points, centroids) = (doubles(points), doubles(centroids));
    let of_point = |(x, &code): (&[f64], &u32)| mse(x, &centroids[code as usize * d..][..d], 1.0);
    points.chunks(d).zip(assignments).map(of_point).sum()
}

#[test]
fn inertia_never_rises() {
    let points = uniform(700 * 4, &mut rng(62));
    let mut last = f64::INFINITY;
    for iters in 0..15 {
        let found = kmeans(&points, 4, 12, iters, &mut rng(63));
        let expected = inertia(&points, 4, &found.centroids, &found.assignments);
        assert!((found.inertia - expected).abs() < 1e-4 * expected);
        assert!(found.inertia <= last * (1.0 + 1e-6), "{} after {last}", found.inertia);
        last = found.inertia;
    }
}

#[test]
fn separated_blobs_are_found() {
    let points = blobs(8, 50, 6);
    let found = kmeans(&points, 6, 8, 20, &mut rng(64));
    // Uniform noise of width 1: a variance of 1/12 a dimension.
    assert!(found.inertia < 400.0 * 6.0 / 12.0 * 1.2, "{}", found.inertia);
    let random: Vec<f32> = points[..8 * 6].to_vec();
    let chance = das_nn::kernels::assign(&points, &random, 6);
    assert!(found.inertia < chance.distances.iter().copied().map(f64::from).sum::<f64>());
}

#[test]
fn seeding_samples_many_points_down() {
    let points = blobs(4, 1000, 3);
    let found = kmeans(&points, 3, 4, 20, &mut rng(65));
    let mut sizes = [0; 4];
    found.assignments.iter().for_each(|&code| sizes[code as usize] += 1);
    assert_eq!(sizes, [1000; 4]);
}

#[test]
fn fewer_points_than_centroids() {
    let points = uniform(3 * 2, &mut rng(66));
    let found = kmeans(&points, 2, 10, 5, &mut rng(67));
    assert_eq!(found.centroids.len(), 20);
    assert!(found.centroids.iter().all(|v| v.is_finite()));
    assert!(found.inertia < 1e-6);
    let mut rows: Vec<[u32; 2]> =
        found.centroids.chunks(2).map(|c| [c[0].to_bits(), c[1].to_bits()]).collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), 10, "copies are jittered apart");
}

#[test]
fn duplicated_points() {
    let points = [1.0f32, 2.0].repeat(100);
    let found = kmeans(&points, 2, 4, 5, &mut rng(68));
    assert!(found.inertia < 1e-6);
    let mut mixed = points;
    mixed.extend([9.0, 9.0]);
    let found = kmeans(&mixed, 2, 2, 5, &mut rng(69));
    assert!(found.inertia < 1e-6, "the odd one out has its own centroid");
}

#[test]
fn residual_levels_refine() {
    let points = uniform(900 * 5, &mut rng(70));
    let found = residual_kmeans(&points, 5, &[16, 8, 8], 10, &mut rng(71));
    assert_eq!(found.codes.len(), 900 * 3);
    assert_eq!(found.codebooks.iter().map(Vec::len).collect::<Vec<_>>(), [80, 40, 40]);
    assert!(found.inertia.windows(2).all(|pair| pair[1] < pair[0]));
    let mut left = 0.0;
    for (x, codes) in doubles(&points).chunks(5).zip(found.codes.chunks(3)) {
        let mut sum = vec![0.0; 5];
        for (book, &code) in found.codebooks.iter().zip(codes) {
            let e = &book[code as usize * 5..][..5];
            sum.iter_mut().zip(e).for_each(|(s, e)| *s += f64::from(*e));
        }
        left += mse(x, &sum, 1.0);
    }
    assert!((left - found.inertia[2]).abs() < 1e-4 * left);
}

#[test]
fn refinement_lowers_the_error_and_its_codes_are_the_nearest() {
    let (d, sizes) = (6, [12, 10, 8]);
    let points = uniform(800 * d, &mut rng(74));
    let plain = residual_kmeans(&points, d, &sizes, 10, &mut rng(75));
    let same = refine_residual_kmeans(&points, d, plain.codebooks.clone(), 0);
    assert_eq!(same.codebooks, plain.codebooks);
    let mut last = plain.inertia[2] * (1.0 + 1e-6);
    for rounds in [1, 4, 12] {
        let refined = refine_residual_kmeans(&points, d, plain.codebooks.clone(), rounds);
        assert!(refined.inertia[2] <= last, "{rounds} rounds: {:?}", refined.inertia);
        last = refined.inertia[2];
    }
    assert!(last < 0.99 * plain.inertia[2], "{last} of {}", plain.inertia[2]);

    let refined = refine_residual_kmeans(&points, d, plain.codebooks, 12);
    let mut left = doubles(&points);
    for (level, book) in refined.codebooks.iter().enumerate() {
        let book = doubles(book);
        for (x, codes) in left.chunks_mut(d).zip(refined.codes.chunks(3)) {
            let distance = |code: usize| mse(x, &book[code * d..][..d], 1.0);
            let chosen = codes[level] as usize;
            let nearest = (0..sizes[level]).map(distance).fold(f64::INFINITY, f64::min);
            assert!(distance(chosen) <= nearest + 1e-6);
            x.iter_mut().zip(&book[chosen * d..]).for_each(|(x, e)| *x -= e);
        }
        let inertia: f64 = left.iter().map(|x| x * x).sum();
        assert!((inertia - refined.inertia[level]).abs() < 1e-4 * inertia);
    }
}

#[test]
fn one_seed_one_result() {
    let points = uniform(500 * 3, &mut rng(72));
    let run = || residual_kmeans(&points, 3, &[9, 9], 8, &mut rng(73));
    assert_eq!(run(), run());
}
