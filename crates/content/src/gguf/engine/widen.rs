//! Weights of 5 bits as weights of 8 bits, which are the same numbers: both types are blocks of 32
//! whole numbers times a scale. candle has kernels for the one and a plain loop for the other, and
//! models whose rows are no multiple of 256 have most of their weights in 5 bits.

use candle_core::quantized::GgmlDType;

/// A scale in half precision, the fifth bits, the lower four bits of two numbers in each byte.
const NARROW_BYTES: usize = 2 + 4 + 16;

/// A block of Q8_0: the scale, then two numbers a word.
pub(super) type Wide = [u16; 17];

/// The type that [`widen`] makes.
pub(super) const WIDE: GgmlDType = GgmlDType::Q8_0;

/// Q5_0 as Q8_0.
pub(super) fn widen(bytes: &[u8]) -> Vec<Wide> {
    bytes.chunks_exact(NARROW_BYTES).map(widen_block).collect()
}

fn widen_block(block: &[u8]) -> Wide {
    let fifths = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    // The first 16 numbers are in the lower halves of the bytes, the others in the upper ones.
    let number = |at: usize| {
        let low = (block[6 + at % 16] >> (at / 16 * 4)) & 15;
        let fifth = (fifths >> at & 1) as u8;
        (low | fifth << 4).wrapping_sub(16)
    };
    let mut wide = [u16::from_ne_bytes([block[0], block[1]]); 17];
    for (at, word) in wide[1..].iter_mut().enumerate() {
        *word = u16::from_ne_bytes([number(2 * at), number(2 * at + 1)]);
    }
    wide
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use candle_core::Device;
    use candle_core::quantized::{QStorage, QTensor};

    use super::*;

    #[test]
    fn the_numbers_stay() {
        // Every byte at every place, whatever scale it makes.
        let count = 256 * NARROW_BYTES;
        let mut bytes: Vec<u8> = (0..count).map(|i| (i * 7 + i / 256) as u8).collect();
        for block in bytes.chunks_exact_mut(NARROW_BYTES) {
            // No infinite scales: these are not numbers in either type.
            block[1] &= 0x3b;
        }
        let values = |bytes: &[u8], dtype| {
            let stored = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype).unwrap();
            let tensor = QTensor::new(stored, 256 * 32).unwrap();
            tensor.dequantize(&Device::Cpu).unwrap().to_vec1::<f32>().unwrap()
        };
        let wide = widen(&bytes);
        let wide = values(bytemuck::cast_slice(&wide), WIDE);
        assert_eq!(wide, values(&bytes, GgmlDType::Q5_0));
    }
}
