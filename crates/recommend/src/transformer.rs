//! A causal transformer over packed sequences.

use das_nn::{Activation, Attention, Tape, Var};

use crate::fit::{depth, width};
use crate::layers::{Builder, Dropout, FeedForward, Linear, Norm, dropout};
use crate::{Error, Result};

/// Shape of a [`Transformer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Width of the states.
    pub(crate) dim: usize,
    /// Blocks.
    pub(crate) layers: usize,
    /// Attention heads; they divide `dim`.
    pub(crate) heads: usize,
    /// Hidden width of the feed-forward layers.
    pub(crate) hidden: usize,
}

impl Shape {
    /// Refuses shapes that cannot work, naming the key.
    pub(crate) fn check(&self) -> Result<()> {
        width("dim", self.dim)?;
        width("hidden", self.hidden)?;
        depth("layers", self.layers)?;
        if self.heads == 0 || !self.dim.is_multiple_of(self.heads) {
            let expected = format!("a divisor of dim ({})", self.dim);
            return Err(Error::config("heads", expected, self.heads));
        }
        Ok(())
    }

    /// Values of all parameters.
    pub(crate) fn num_values(&self) -> u128 {
        let Shape { dim, layers, hidden, .. } = *self;
        let block = Norm::num_values(dim)
            + 4 * Linear::num_values(dim, dim)
            + FeedForward::num_values(dim, hidden);
        layers as u128 * block + Norm::num_values(dim)
    }
}

/// One pre-normalised block: attention, then feed-forward, each added to its input.
#[derive(Clone, Copy, Debug)]
struct Block {
    norm: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    mix: Linear,
    feed_forward: FeedForward,
}

impl Block {
    /// The block over rows that attend as `packed` says; where `asked` names rows, for these alone.
    fn forward(
        &self,
        tape: &mut Tape<'_>,
        x: Var,
        asked: Option<&[u32]>,
        packed: &Attention<'_>,
        drop: &mut Dropout<'_>,
    ) -> Var {
        let normed = self.norm.forward(tape, x);
        let (x, asking) = match asked {
            Some(rows) => (tape.select_rows(x, rows), tape.select_rows(normed, rows)),
            None => (x, normed),
        };
        let q = self.query.forward(tape, asking, Activation::Identity);
        let [k, v] =
            [self.key, self.value].map(|linear| linear.forward(tape, normed, Activation::Identity));
        let seen = tape.attention(q, k, v, packed);
        let change = self.mix.forward(tape, seen, Activation::Identity);
        let change = dropout(tape, change, drop);
        let x = tape.add(x, change);
        self.feed_forward.forward(tape, x, drop)
    }
}

/// A causal transformer (Vaswani et al., 2017) with the normalisation before each layer (Xiong et
/// al., 2020), over packed sequences: no row is padding.
#[derive(Clone, Debug)]
pub(crate) struct Transformer {
    heads: usize,
    blocks: Vec<Block>,
    norm: Norm,
}

impl Transformer {
    pub(crate) fn new(builder: &mut Builder, name: &str, shape: Shape) -> Result<Transformer> {
        let Shape { dim, layers, heads, hidden } = shape;
        let mut blocks = Vec::with_capacity(layers);
        for at in 0..layers {
            let part = |part: &str| format!("{name}.{at}.{part}");
            blocks.push(Block {
                norm: Norm::new(builder, &part("norm"), dim)?,
                query: Linear::new(builder, &part("query"), dim, dim)?,
                key: Linear::new(builder, &part("key"), dim, dim)?,
                value: Linear::new(builder, &part("value"), dim, dim)?,
                mix: Linear::new(builder, &part("mix"), dim, dim)?,
                feed_forward: FeedForward::new(builder, &part("feed_forward"), dim, hidden)?,
            });
        }
        let norm = Norm::new(builder, &format!("{name}.norm"), dim)?;
        Ok(Transformer { heads, blocks, norm })
    }

    /// States `[rows, dim]` of sequences that own the rows `offsets[s]..offsets[s + 1]` of `x`; a
    /// row sees itself and the rows of its sequence before it.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape<'_>,
        x: Var,
        offsets: &[u32],
        drop: &mut Dropout<'_>,
    ) -> Var {
        let x = self.through(&self.blocks, tape, x, offsets, drop);
        self.norm.forward(tape, x)
    }

    /// The states `[sequences, dim]` of the last rows alone, of sequences that all have rows.
    /// Nothing looks at what the last block makes of the others, so it does not work on them.
    pub(crate) fn newest(&self, tape: &mut Tape<'_>, x: Var, offsets: &[u32]) -> Var {
        let rows: Vec<u32> = offsets[1..].iter().map(|&end| end - 1).collect();
        let newest = match self.blocks.split_last() {
            Some((last, before)) => {
                let x = self.through(before, tape, x, offsets, &mut None);
                let queries: Vec<u32> = (0..offsets.len() as u32).collect();
                let packed = Attention {
                    heads: self.heads,
                    queries: &queries,
                    keys: offsets,
                    causal: false,
                };
                last.forward(tape, x, Some(&rows), &packed, &mut None)
            }
            None => tape.select_rows(x, &rows),
        };
        self.norm.forward(tape, newest)
    }

    fn through(
        &self,
        blocks: &[Block],
        tape: &mut Tape<'_>,
        x: Var,
        offsets: &[u32],
        drop: &mut Dropout<'_>,
    ) -> Var {
        let packed = Attention { heads: self.heads, queries: offsets, keys: offsets, causal: true };
        blocks.iter().fold(x, |x, block| block.forward(tape, x, None, &packed, drop))
    }
}

#[cfg(test)]
mod tests {
    use das_core::streams::stream;
    use das_nn::{Device, Params};
    use rand::Rng;

    use super::*;

    const DIM: usize = 8;

    fn states(transformer: &Transformer, params: &Params, x: &[f32], offsets: &[u32]) -> Vec<f32> {
        let mut tape = Tape::inference(params);
        let x = tape.input_slice(x.len() / DIM, DIM, x);
        let states = transformer.forward(&mut tape, x, offsets, &mut None);
        tape.value(states).to_vec()
    }

    #[test]
    fn the_newest_states_are_those_of_the_last_rows() {
        let mut rng = stream(3, "test", 0);
        let x: Vec<f32> = (0..61 * DIM).map(|_| rng.random_range(-1.0..1.0)).collect();
        // The last sequence is long enough for attention by matrix products.
        let offsets = [0, 1, 4, 61];
        for layers in 0..3 {
            let mut builder = Builder::drawing(&Device::cpu(), stream(2, "test", 0));
            let shape = Shape { dim: DIM, layers, heads: 2, hidden: 12 };
            let transformer = Transformer::new(&mut builder, "t", shape).unwrap();
            let params = builder.finish();
            let all = states(&transformer, &params, &x, &offsets);
            let mut tape = Tape::inference(&params);
            let input = tape.input_slice(61, DIM, &x);
            let newest = transformer.newest(&mut tape, input, &offsets);
            let newest = tape.value(newest).to_vec();
            for (newest, end) in newest.chunks_exact(DIM).zip(&offsets[1..]) {
                let expected = &all[(*end as usize - 1) * DIM..][..DIM];
                assert!(newest.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn a_row_sees_no_later_row_and_no_other_sequence() {
        let mut rng = stream(1, "test", 0);
        let mut builder = Builder::drawing(&Device::cpu(), stream(2, "test", 0));
        let shape = Shape { dim: DIM, layers: 2, heads: 2, hidden: 12 };
        let transformer = Transformer::new(&mut builder, "t", shape).unwrap();
        let params = builder.finish();
        let count: usize = params.ids().map(|id| params.get(id).len()).sum();
        assert_eq!(count as u128, shape.num_values());

        let mut x: Vec<f32> = (0..7 * DIM).map(|_| rng.random_range(-1.0..1.0)).collect();
        let before = states(&transformer, &params, &x, &[0, 3, 7]);
        let alone = states(&transformer, &params, &x[3 * DIM..], &[0, 4]);
        for (packed, alone) in before[3 * DIM..].iter().zip(&alone) {
            assert!((packed - alone).abs() < 1e-5);
        }
        x[5 * DIM] += 1.0;
        let after = states(&transformer, &params, &x, &[0, 3, 7]);
        assert_eq!(before[..5 * DIM], after[..5 * DIM]);
        for row in 5..7 {
            assert_ne!(before[row * DIM..][..DIM], after[row * DIM..][..DIM]);
        }
    }
}
