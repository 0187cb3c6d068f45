//! What the digits of a semantic ID mean. Every consumer asks here; nobody counts on its own.

use serde::{Deserialize, Serialize};

use super::CollisionPolicy;
use crate::{Error, Result};

/// Most digits of a semantic ID: tokens name the digits `a` to `z`.
pub const MAX_DIGITS: usize = 26;

/// Widest digit. With [`MAX_DIGITS`] of them, offset codes still fit 32 bits.
pub const MAX_CODEBOOK_SIZE: u32 = 1 << 24;

/// The shape of a semantic ID: learned levels, then perhaps one extra digit that tells apart
/// the entities whose learned codes are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLayout")]
pub struct SidLayout {
    codebook_sizes: Vec<u32>,
    collision: CollisionPolicy,
    suffix: Option<u32>,
}

/// The stored form, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayout {
    codebook_sizes: Vec<u32>,
    collision: CollisionPolicy,
    suffix: Option<u32>,
}

impl TryFrom<RawLayout> for SidLayout {
    type Error = Error;

    fn try_from(raw: RawLayout) -> Result<SidLayout> {
        SidLayout::new(raw.codebook_sizes, raw.collision, raw.suffix)
    }
}

impl SidLayout {
    /// A layout of learned levels and, for [`CollisionPolicy::Suffix`] and only for it, the
    /// width of the extra last digit.
    ///
    /// Refused: no level, more than [`MAX_DIGITS`] digits, a width of 0 or above
    /// [`MAX_CODEBOOK_SIZE`], a suffix without the policy or the policy without a suffix.
    pub fn new(
        codebook_sizes: Vec<u32>,
        collision: CollisionPolicy,
        suffix: Option<u32>,
    ) -> Result<SidLayout> {
        if codebook_sizes.is_empty() {
            return Err(Error::Invalid("a semantic ID needs at least one level".into()));
        }
        if suffix.is_some() != (collision == CollisionPolicy::Suffix) {
            return Err(Error::Invalid(format!(
                "collision policy `{collision}` with suffix width {suffix:?}: the width belongs \
                 to policy `suffix` and to no other"
            )));
        }
        let layout = SidLayout { codebook_sizes, collision, suffix };
        if layout.num_digits() > MAX_DIGITS {
            return Err(Error::Invalid(format!(
                "a semantic ID of {} digits, expected at most {MAX_DIGITS}",
                layout.num_digits()
            )));
        }
        for (digit, width) in layout.widths().enumerate() {
            if width == 0 || width > MAX_CODEBOOK_SIZE {
                return Err(Error::Invalid(format!(
                    "digit {digit} has {width} codes, expected 1 to {MAX_CODEBOOK_SIZE}"
                )));
            }
        }
        Ok(layout)
    }

    /// The layout of what a tokenizer emits: learned levels, collisions left as they are.
    pub fn learned(codebook_sizes: Vec<u32>) -> Result<SidLayout> {
        SidLayout::new(codebook_sizes, CollisionPolicy::None, None)
    }

    /// Codes of each learned level.
    pub fn codebook_sizes(&self) -> &[u32] {
        &self.codebook_sizes
    }

    /// How collisions were told apart.
    pub fn collision(&self) -> CollisionPolicy {
        self.collision
    }

    /// Width of the extra last digit, where there is one.
    pub fn suffix(&self) -> Option<u32> {
        self.suffix
    }

    /// Learned levels.
    pub fn num_levels(&self) -> usize {
        self.codebook_sizes.len()
    }

    /// Digits of an ID: the learned levels and the suffix.
    pub fn num_digits(&self) -> usize {
        self.num_levels() + usize::from(self.suffix.is_some())
    }

    /// Number of codes of every digit, suffix included.
    pub fn widths(&self) -> impl Iterator<Item = u32> + '_ {
        self.codebook_sizes.iter().copied().chain(self.suffix)
    }

    /// What is added to each digit's code to make one flat vocabulary: the sum of the widths
    /// before it.
    pub fn offsets(&self) -> Vec<u32> {
        self.widths()
            .scan(0, |sum, width| {
                let offset = *sum;
                *sum += width;
                Some(offset)
            })
            .collect()
    }

    /// Size of the flat vocabulary: the sum of all widths.
    pub fn vocabulary_size(&self) -> u32 {
        self.widths().sum()
    }

    /// Checks the number of digits and each digit's range.
    pub fn check(&self, codes: &[u32]) -> Result<()> {
        if codes.len() != self.num_digits() {
            return Err(Error::Invalid(format!(
                "{} digits, expected {}",
                codes.len(),
                self.num_digits()
            )));
        }
        match codes.iter().zip(self.widths()).enumerate().find(|(_, (code, width))| *code >= width)
        {
            Some((digit, (code, width))) => {
                Err(Error::Invalid(format!("digit {digit} is {code}, expected less than {width}")))
            }
            None => Ok(()),
        }
    }

    /// The flat form of an ID, in which codes of different digits never meet.
    pub fn to_offset_codes(&self, codes: &[u32]) -> Result<Vec<u32>> {
        self.check(codes)?;
        Ok(codes.iter().zip(self.offsets()).map(|(code, offset)| code + offset).collect())
    }

    /// The ID of a flat form; a code outside its digit's range is refused.
    pub fn from_offset_codes(&self, offset_codes: &[u32]) -> Result<Vec<u32>> {
        let codes: Option<Vec<u32>> = offset_codes
            .iter()
            .zip(self.offsets())
            .map(|(code, offset)| code.checked_sub(offset))
            .collect();
        let codes = codes.filter(|codes| codes.len() == offset_codes.len()).ok_or_else(|| {
            let offsets = self.offsets();
            Error::Invalid(format!("offset codes {offset_codes:?} with offsets {offsets:?}"))
        })?;
        self.check(&codes)?;
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> SidLayout {
        SidLayout::new(vec![256, 512, 64], CollisionPolicy::Suffix, Some(5)).unwrap()
    }

    #[test]
    fn digits_widths_and_offsets_include_the_suffix() {
        let layout = layout();
        assert_eq!((layout.num_levels(), layout.num_digits()), (3, 4));
        assert_eq!(layout.widths().collect::<Vec<_>>(), [256, 512, 64, 5]);
        assert_eq!(layout.offsets(), [0, 256, 768, 832]);
        assert_eq!(layout.vocabulary_size(), 837);
        assert_eq!(layout.to_offset_codes(&[1, 2, 3, 4]).unwrap(), [1, 258, 771, 836]);
    }

    #[test]
    fn impossible_layouts_are_refused() {
        let new = |sizes: Vec<u32>, policy, suffix| {
            SidLayout::new(sizes, policy, suffix).unwrap_err().to_string()
        };
        use CollisionPolicy::{None as Keep, Suffix};
        assert!(new(vec![], Keep, None).contains("at least one level"));
        assert!(new(vec![4, 0], Keep, None).contains("digit 1 has 0 codes"));
        assert!(new(vec![1 << 25], Keep, None).contains("digit 0 has 33554432 codes"));
        assert!(new(vec![4], Suffix, Some(0)).contains("digit 1 has 0 codes"));
        assert!(new(vec![4], Suffix, None).contains("`suffix` with suffix width None"));
        assert!(new(vec![4], Keep, Some(2)).contains("`none` with suffix width Some(2)"));
        assert!(new(vec![4; 27], Keep, None).contains("27 digits"));
        assert!(new(vec![4; 26], Suffix, Some(1)).contains("27 digits"));
        assert!(SidLayout::learned(vec![MAX_CODEBOOK_SIZE; MAX_DIGITS]).is_ok());
    }

    #[test]
    fn stored_layouts_are_checked_and_round_trip() {
        let json = serde_json::to_string(&layout()).unwrap();
        assert_eq!(json, r#"{"codebook_sizes":[256,512,64],"collision":"suffix","suffix":5}"#);
        assert_eq!(serde_json::from_str::<SidLayout>(&json).unwrap(), layout());
        let bad = json.replace("64", "0");
        let error = serde_json::from_str::<SidLayout>(&bad).unwrap_err().to_string();
        assert!(error.contains("digit 2 has 0 codes"), "{error}");
    }

    #[test]
    fn offset_codes_out_of_range_are_refused() {
        let layout = layout();
        for bad in [&[1, 258, 771][..], &[1, 255, 771, 836], &[256, 258, 771, 836], &[1; 5]] {
            assert!(layout.from_offset_codes(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn offset_codes_round_trip(a in 0u32..256, b in 0u32..512, c in 0u32..64, s in 0u32..5) {
            let layout = layout();
            let codes = [a, b, c, s];
            let flat = layout.to_offset_codes(&codes).unwrap();
            prop_assert_eq!(layout.from_offset_codes(&flat).unwrap(), codes);
        }
    }
}
