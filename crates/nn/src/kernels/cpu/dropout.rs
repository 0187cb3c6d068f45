//! Dropout with a mask that is a hash of key and position.

use rayon::prelude::*;

use super::simd::vectorize;
use crate::kernels::backend::DropoutMask;

/// Values per task.
const CHUNK: usize = 1 << 14;

/// Zeros where the mask drops, `src / (1 - rate)` elsewhere.
pub(super) fn apply(src: &[f32], mask: &DropoutMask, dst: &mut [f32]) {
    assert!(u32::try_from(src.len()).is_ok(), "fewer than 2^32 values");
    let dropped = (f64::from(mask.rate) * 2f64.powi(32)) as u32;
    let scale = 1.0 / (1.0 - mask.rate);
    let blocks = dst.par_chunks_mut(CHUNK).zip(src.par_chunks(CHUNK)).enumerate();
    let key = mask.key;
    blocks.for_each(|(index, (dst, src))| {
        vectorize(
            #[inline(always)]
            move || {
                let first = (index * CHUNK) as u32;
                for (at, (d, s)) in (0u32..).zip(dst.iter_mut().zip(src)) {
                    let scaled = s * scale;
                    *d = if hash(key, first + at) >= dropped { scaled } else { 0.0 };
                }
            },
        );
    });
}

/// 32 even bits for each position: MurmurHash3's finalizer, a bijection that passes every input
/// bit on to every output bit, before and after the second half of the key is mixed in.
#[inline(always)]
fn hash(key: u64, position: u32) -> u32 {
    finalize(finalize(position ^ key as u32) ^ (key >> 32) as u32)
}

#[inline(always)]
fn finalize(mut h: u32) -> u32 {
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}
