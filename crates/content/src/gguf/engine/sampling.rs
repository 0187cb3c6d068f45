//! Which token comes next.

use rand::Rng;

/// The likeliest token, or, at a temperature, one drawn by its probability. None if a logit is not a
/// number or none is above -∞.
pub(super) fn choose(logits: &[f32], temperature: f64, rng: &mut impl Rng) -> Option<u32> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let candidates = || (0u32..).zip(logits.iter().copied());
    let (best, most) = candidates().reduce(|a, b| if b.1 > a.1 { b } else { a })?;
    if most == f32::NEG_INFINITY {
        return None;
    }
    if temperature == 0.0 {
        return Some(best);
    }
    let weight = |logit: f32| ((f64::from(logit) - f64::from(most)) / temperature).exp();
    let total: f64 = candidates().map(|(_, logit)| weight(logit)).sum();
    let mut left = rng.random::<f64>() * total;
    for (id, logit) in candidates() {
        left -= weight(logit);
        if left < 0.0 {
            return Some(id);
        }
    }
    // Rounding may leave a little.
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_first_of_the_best() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut choose = |logits: &[f32]| choose(logits, 0.0, &mut rng);
        assert_eq!(choose(&[0.5, 1.0, 0.0, 1.0]), Some(1));
        assert_eq!(choose(&[0.0, f32::NAN]), None);
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[f32::NEG_INFINITY]), None);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits: Vec<f32> = [1.0f32, 2.0, 0.0, 1.0].iter().map(|p| p.ln() * 0.5).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 4];
        for _ in 0..8000 {
            counts[choose(&logits, 0.5, &mut rng).unwrap() as usize] += 1;
        }
        assert_eq!(counts[2], 0);
        for (count, expected) in [(counts[0], 2000), (counts[1], 4000), (counts[3], 2000)] {
            assert!(i32::abs(count - expected) < 150, "{counts:?}");
        }
    }
}
