//! From the states of a text's tokens to one vector.

use rayon::prelude::*;

use crate::plm::Pooling;

impl Pooling {
    /// One vector a sequence: sequence `s` owns the rows `offsets[s]..offsets[s + 1]` of `states`,
    /// each `dim` wide. No sequence is empty.
    pub(super) fn pool(self, states: &[f32], dim: usize, offsets: &[u32]) -> Vec<f32> {
        let mut vectors = vec![0.0; (offsets.len() - 1) * dim];
        vectors.par_chunks_exact_mut(dim).zip(offsets.par_windows(2)).for_each(|(out, ends)| {
            let rows = states[ends[0] as usize * dim..ends[1] as usize * dim].chunks_exact(dim);
            self.combine(rows, out);
        });
        vectors
    }

    fn combine<'a>(self, mut rows: impl ExactSizeIterator<Item = &'a [f32]>, out: &mut [f32]) {
        let scale = 1.0 / rows.len() as f32;
        out.copy_from_slice(rows.next().expect("a sequence has tokens"));
        match self {
            Pooling::Cls => (),
            Pooling::Max => {
                rows.for_each(|row| out.iter_mut().zip(row).for_each(|(y, x)| *y = y.max(*x)));
            }
            Pooling::Mean => {
                rows.for_each(|row| out.iter_mut().zip(row).for_each(|(y, x)| *y += x));
                out.iter_mut().for_each(|y| *y *= scale);
            }
        }
    }
}

/// Brings a vector to norm 1; a zero vector stays.
pub(super) fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_on_two_sequences() {
        let states = [1.0, 2.0, 3.0, -2.0, 5.0, 6.0];
        let pool = |pooling: Pooling| pooling.pool(&states, 2, &[0, 2, 3]);
        assert_eq!(pool(Pooling::Cls), [1.0, 2.0, 5.0, 6.0]);
        assert_eq!(pool(Pooling::Mean), [2.0, 0.0, 5.0, 6.0]);
        assert_eq!(pool(Pooling::Max), [3.0, 2.0, 5.0, 6.0]);
    }
}
