//! Constrained k-means: clusters between half and twice the mean size.

use das_nn::kernels::kmeans::{KMeans, kmeans};
use das_nn::kernels::matmul;
use rand::Rng;

/// k-means (Lloyd, from k-means++ seeds) in which each of the `k` clusters of the `n` points keeps
/// at least ⌊n/2k⌋ and at most ⌈2n/k⌉ of them, the bounds of LETTER's code.
///
/// Points are given out in the order of what a second choice would cost them, each to its nearest
/// cluster with room; then clusters below the minimum take over the points that lose least. That
/// is a greedy answer to an assignment problem which min-cost flow would solve exactly.
pub(super) fn balanced_kmeans(
    points: &[f32],
    dim: usize,
    k: usize,
    iterations: usize,
    rng: &mut impl Rng,
) -> KMeans {
    let n = points.len() / dim;
    let bounds = (n / (2 * k), (2 * n).div_ceil(k));
    let mut centroids = kmeans(points, dim, k, 0, rng).centroids;
    let mut assignments = Vec::new();
    for _ in 0..iterations.max(1) {
        let distances = distances(points, &centroids, (n, dim, k));
        let next = assign(&distances, (n, k), bounds);
        if next == assignments {
            break;
        }
        assignments = next;
        move_to_means(points, dim, &assignments, &mut centroids);
    }
    let of_point = |(point, &cluster): (&[f32], &u32)| -> f64 {
        let centroid = &centroids[cluster as usize * dim..][..dim];
        point.iter().zip(centroid).map(|(x, c)| f64::from(x - c).powi(2)).sum()
    };
    let inertia = points.chunks_exact(dim).zip(&assignments).map(of_point).sum();
    KMeans { centroids, assignments, inertia }
}

/// ‖e‖² − 2 x · e of each point to each centroid, `[n, k]`: squared distances but for a constant
/// of the point.
fn distances(points: &[f32], centroids: &[f32], (n, dim, k): (usize, usize, usize)) -> Vec<f32> {
    let mut products = vec![0.0; n * k];
    matmul::abt(points, centroids, (n, dim, k), &mut products);
    let squares: Vec<f32> =
        centroids.chunks_exact(dim).map(|e| e.iter().map(|v| v * v).sum()).collect();
    for row in products.chunks_exact_mut(k) {
        row.iter_mut().zip(&squares).for_each(|(value, square)| *value = square - 2.0 * *value);
    }
    products
}

fn assign(distances: &[f32], (n, k): (usize, usize), (least, most): (usize, usize)) -> Vec<u32> {
    let row = |point: usize| &distances[point * k..][..k];
    let mut order: Vec<(f32, usize)> = (0..n).map(|point| (regret(row(point)), point)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let (mut sizes, mut assignments) = (vec![0usize; k], vec![0u32; n]);
    for (_, point) in order {
        let with_room = (0..k).filter(|&cluster| sizes[cluster] < most);
        let nearest = with_room.min_by(|&a, &b| row(point)[a].total_cmp(&row(point)[b]));
        let nearest = nearest.expect("there is room for all points");
        sizes[nearest] += 1;
        assignments[point] = nearest as u32;
    }
    for cluster in 0..k {
        while sizes[cluster] < least {
            let loss =
                |&point: &usize| row(point)[cluster] - row(point)[assignments[point] as usize];
            let movable = (0..n).filter(|&point| sizes[assignments[point] as usize] > least);
            let point = movable.min_by(|a, b| loss(a).total_cmp(&loss(b)));
            let point = point.expect("clusters above the minimum hold the points missing here");
            sizes[assignments[point] as usize] -= 1;
            sizes[cluster] += 1;
            assignments[point] = cluster as u32;
        }
    }
    assignments
}

/// How much farther the second nearest is than the nearest.
fn regret(distances: &[f32]) -> f32 {
    let (mut first, mut second) = (f32::INFINITY, f32::INFINITY);
    for &distance in distances {
        if distance < first {
            (first, second) = (distance, first);
        } else if distance < second {
            second = distance;
        }
    }
    second - first
}

/// Moves each centroid to the mean of its points; one without points stays.
fn move_to_means(points: &[f32], dim: usize, assignments: &[u32], centroids: &mut [f32]) {
    let k = centroids.len() / dim;
    let (mut sums, mut counts) = (vec![0.0f64; k * dim], vec![0usize; k]);
    for (point, &cluster) in points.chunks_exact(dim).zip(assignments) {
        counts[cluster as usize] += 1;
        let sum = &mut sums[cluster as usize * dim..][..dim];
        sum.iter_mut().zip(point).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    for (at, value) in centroids.iter_mut().enumerate() {
        if counts[at / dim] > 0 {
            *value = (sums[at] / counts[at / dim] as f64) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(assignments: &[u32], k: usize) -> Vec<usize> {
        let mut sizes = vec![0; k];
        assignments.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
        sizes
    }

    #[test]
    fn sizes_stay_within_their_bounds() {
        let mut rng = das_core::streams::stream(1, "test", 0);
        for (n, k) in [(200, 10), (256, 10), (64, 16), (20, 20), (7, 10), (30, 1)] {
            // Most points in one heap, which plain k-means would leave as one cluster.
            let value = |at: usize| if at.is_multiple_of(10) { 5.0 } else { 0.1 };
            let points: Vec<f32> =
                (0..n * 3).map(|at| value(at / 3) * rng.random_range(-1.0..1.0)).collect();
            let found = balanced_kmeans(&points, 3, k, 10, &mut rng);
            let sizes = sizes(&found.assignments, k);
            assert!(sizes.iter().all(|&size| size >= n / (2 * k)), "{n} in {k}: {sizes:?}");
            assert!(sizes.iter().all(|&size| size <= (2 * n).div_ceil(k)), "{n} in {k}: {sizes:?}");
        }
    }

    #[test]
    fn clusters_that_are_balanced_by_nature_are_found() {
        let centres = [[0.0f32, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];
        let mut rng = das_core::streams::stream(2, "test", 0);
        let points: Vec<f32> = (0..80)
            .flat_map(|at| centres[at % 4])
            .map(|centre| centre + rng.random_range(-1.0..1.0))
            .collect();
        let found = balanced_kmeans(&points, 2, 4, 10, &mut rng);
        for (at, &cluster) in found.assignments.iter().enumerate() {
            assert_eq!(cluster, found.assignments[at % 4]);
        }
        let plain = kmeans(&points, 2, 4, 10, &mut rng);
        assert!((found.inertia - plain.inertia).abs() < 1e-3 * plain.inertia);
    }
}
