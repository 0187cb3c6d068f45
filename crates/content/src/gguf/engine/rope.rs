//! Rotations of queries and keys by their positions (Su et al., 2021).

use candle_core::{Device, Result, Tensor};
use candle_nn::rotary_emb;

/// The angles of all positions.
#[derive(Debug)]
pub(super) struct Rope {
    cos: Tensor,
    sin: Tensor,
    /// Whether neighbours turn together, or the halves of a head.
    neighbours: bool,
}

impl Rope {
    /// Angles for heads of width `head` at the positions below `context`: position / `stretch` /
    /// `base`^(2i / head), of which each may be divided by a factor of its own.
    pub(super) fn new(
        head: usize,
        context: usize,
        (base, stretch): (f64, f64),
        factors: Option<&[f32]>,
        neighbours: bool,
    ) -> Result<Rope> {
        let half = head / 2;
        let speed = |i: usize| {
            let factor = factors.map_or(1.0, |factors| f64::from(factors[i]));
            base.powf(-2.0 * i as f64 / head as f64) / stretch / factor
        };
        let speeds: Vec<f64> = (0..half).map(speed).collect();
        let table = |function: fn(f64) -> f64| {
            let angles = (0..context).flat_map(|at| speeds.iter().map(move |v| at as f64 * v));
            let values: Vec<f32> = angles.map(|angle| function(angle) as f32).collect();
            Tensor::from_vec(values, (context, half), &Device::Cpu)
        };
        Ok(Rope { cos: table(f64::cos)?, sin: table(f64::sin)?, neighbours })
    }

    /// Turns heads × tokens × width, whose first token stands at `first`.
    pub(super) fn turn(&self, heads: &Tensor, first: usize) -> Result<Tensor> {
        let length = heads.dim(1)?;
        let (cos, sin) = (self.cos.narrow(0, first, length)?, self.sin.narrow(0, first, length)?);
        let heads = heads.unsqueeze(0)?;
        let turn = if self.neighbours { rotary_emb::rope_i } else { rotary_emb::rope };
        turn(&heads, &cos, &sin)?.squeeze(0)
    }
}
