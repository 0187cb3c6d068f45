//! Keys and values of the tokens that a network has seen.

use candle_core::{DType, Device, Result, Tensor};

use super::architecture::Architecture;

/// Tokens that a layer has room for at first.
const FIRST_ROOM: usize = 256;

/// What each layer keeps. It grows with what is seen, so that a long context costs nothing until
/// it is used.
#[derive(Debug)]
pub(super) struct Cache {
    layers: Vec<Kept>,
    length: usize,
}

/// Keys and values of a layer: heads × room × width.
#[derive(Debug)]
pub(super) struct Kept {
    keys: Tensor,
    values: Tensor,
}

impl Cache {
    /// Room for no token yet.
    pub(super) fn new(architecture: &Architecture) -> Result<Cache> {
        let (shared, head) = (architecture.shared, architecture.head);
        let empty = || Tensor::zeros((shared, 0, head), DType::F32, &Device::Cpu);
        let layers =
            (0..architecture.layers).map(|_| Ok(Kept { keys: empty()?, values: empty()? }));
        Ok(Cache { layers: layers.collect::<Result<_>>()?, length: 0 })
    }

    /// How many tokens were seen.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Forgets all but the first `length` tokens.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Counts tokens that every layer has appended.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    pub(super) fn layers(&mut self) -> &mut [Kept] {
        &mut self.layers
    }
}

impl Kept {
    /// Stores the keys and values of tokens from `first` on, each heads × tokens × width, and
    /// gives those of the tokens from `from` to the last.
    pub(super) fn append(
        &mut self,
        keys: &Tensor,
        values: &Tensor,
        first: usize,
        from: usize,
    ) -> Result<(Tensor, Tensor)> {
        let end = first + keys.dim(1)?;
        let store = |kept: &mut Tensor, new: &Tensor| {
            if kept.dim(1)? < end {
                *kept = grown(kept, first, end)?;
            }
            kept.slice_set(new, 1, first)?;
            kept.narrow(1, from, end - from)
        };
        Ok((store(&mut self.keys, keys)?, store(&mut self.values, values)?))
    }
}

/// A copy of the first `used` tokens with room for at least `needed`.
fn grown(kept: &Tensor, used: usize, needed: usize) -> Result<Tensor> {
    let (heads, _, width) = kept.dims3()?;
    let room = needed.next_power_of_two().max(FIRST_ROOM);
    let larger = Tensor::zeros((heads, room, width), kept.dtype(), kept.device())?;
    if used > 0 {
        larger.slice_set(&kept.narrow(1, 0, used)?.contiguous()?, 1, 0)?;
    }
    Ok(larger)
}
