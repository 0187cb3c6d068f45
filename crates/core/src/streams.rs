//! Randomness from one seed.
//!
//! Each use draws from its own stream, named by a purpose and an index (an epoch, a level), so
//! that a resumed run continues with the very numbers of an uninterrupted one without storing
//! any generator state, and adding a use never shifts the numbers of another.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator of `purpose` number `index` under `seed`.
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(purpose.as_bytes());
    let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
    rng.set_stream(index);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn streams_are_reproducible_and_apart() {
        let first = |seed, purpose, index| stream(seed, purpose, index).next_u64();
        assert_eq!(first(1, "shuffle", 2), first(1, "shuffle", 2));
        let all = [
            first(1, "shuffle", 2),
            first(2, "shuffle", 2),
            first(1, "init", 2),
            first(1, "shuffle", 3),
        ];
        for (at, value) in all.iter().enumerate() {
            assert!(!all[..at].contains(value));
        }
    }
}
