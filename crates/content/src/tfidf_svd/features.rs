//! Words and n-grams of a text, hashed into buckets and counted.
//!
//! Three families, each with its own 2^`bits` buckets: words, pairs of adjacent words joined by a
//! space, and character n-grams of each word with a space at both ends. A word no longer than n
//! gives itself once and no longer n-grams.
//!
//! The hash is 64-bit FNV-1a (Fowler, Noll, Vo; RFC 9923) of the feature's UTF-8 bytes, with the
//! upper half folded onto the lower by XOR, and then the lowest `bits` bits. It is part of the
//! saved format: a change of it is a new version of the embedder.

use super::config::TfidfSvdConfig;
use super::text::{normalize, words};

/// Number of feature families.
pub(super) const FAMILIES: usize = 3;

const WORD: u32 = 0;
const BIGRAM: u32 = 1;
const CHAR: u32 = 2;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The features of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counts {
    /// (bucket over all families, occurrences), ascending by bucket.
    pub(super) buckets: Vec<(u32, u32)>,
    /// Whether the text was longer than is read.
    pub(super) truncated: bool,
}

/// Counts the features of `text`.
pub(super) fn count(text: &str, config: &TfidfSvdConfig) -> Counts {
    let normalized = normalize(text, config.max_chars);
    let mut found = Found { bits: config.bucket_bits, buckets: Vec::new() };
    let [word_weight, bigram_weight, char_weight] = config.weights();
    let mut padded = Padded::default();
    let mut previous: Option<&str> = None;
    for word in words(&normalized.text) {
        if word_weight > 0.0 {
            found.add(WORD, &[word]);
        }
        if let Some(previous) = previous.filter(|_| bigram_weight > 0.0) {
            found.add(BIGRAM, &[previous, " ", word]);
        }
        if char_weight > 0.0 {
            padded.set(word);
            padded.ngrams(config.char_ngram_min, config.char_ngram_max, |ngram| {
                found.add(CHAR, &[ngram]);
            });
        }
        previous = Some(word);
    }
    Counts { buckets: run_lengths(found.buckets), truncated: normalized.truncated }
}

/// Buckets in order of occurrence.
struct Found {
    bits: u32,
    buckets: Vec<u32>,
}

impl Found {
    fn add(&mut self, family: u32, parts: &[&str]) {
        let hash = parts.iter().fold(FNV_OFFSET, |hash, part| fnv1a(hash, part.as_bytes()));
        let folded = (hash ^ (hash >> 32)) as u32;
        let mask = (1 << self.bits) - 1;
        self.buckets.push((family << self.bits) | (folded & mask));
    }
}

/// Goes on with the 64-bit FNV-1a hash of `bytes` from `hash`.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

/// A word with a space at both ends; the buffers are reused from word to word.
#[derive(Default)]
struct Padded {
    text: String,
    /// Byte offsets of the characters, and of the end.
    starts: Vec<usize>,
}

impl Padded {
    fn set(&mut self, word: &str) {
        self.text.clear();
        self.text.extend([" ", word, " "]);
        self.starts.clear();
        self.starts.extend(self.text.char_indices().map(|(at, _)| at));
        self.starts.push(self.text.len());
    }

    fn ngrams(&self, min: usize, max: usize, mut each: impl FnMut(&str)) {
        let chars = self.starts.len() - 1;
        for n in min..=max {
            if chars <= n {
                each(&self.text);
                return;
            }
            for first in 0..=chars - n {
                each(&self.text[self.starts[first]..self.starts[first + n]]);
            }
        }
    }
}

fn run_lengths(mut buckets: Vec<u32>) -> Vec<(u32, u32)> {
    buckets.sort_unstable();
    buckets.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        // Test vectors of the authors (RFC 9923, appendix C).
        assert_eq!(fnv1a(FNV_OFFSET, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(FNV_OFFSET, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// All features of a text as strings, written down without any of the code above.
    fn naive_features(words: &[&str], min: usize, max: usize) -> Vec<(u32, String)> {
        let mut all = Vec::new();
        for (at, word) in words.iter().enumerate() {
            all.push((0, word.to_string()));
            if at > 0 {
                all.push((1, format!("{} {word}", words[at - 1])));
            }
            let chars: Vec<char> = format!(" {word} ").chars().collect();
            let longest = max.min(chars.len().max(min));
            for n in min..=longest {
                if n >= chars.len() {
                    all.push((2, chars.iter().collect()));
                } else {
                    all.extend(chars.windows(n).map(|w| (2, w.iter().collect())));
                }
            }
        }
        all
    }

    #[test]
    fn counts_agree_with_a_naive_list_of_features() {
        let config = TfidfSvdConfig { bucket_bits: 12, ..Default::default() };
        let words = ["the", "a", "nail", "polish", "ab", "the", "nail", "süß"];
        let mut expected: BTreeMap<u32, u32> = BTreeMap::new();
        for (family, feature) in naive_features(&words, 3, 5) {
            let mut hash = 14695981039346656037u64;
            for byte in feature.bytes() {
                hash = (hash ^ byte as u64).wrapping_mul(1099511628211);
            }
            let bucket = ((hash >> 32) ^ (hash & 0xffff_ffff)) % 4096;
            *expected.entry(family * 4096 + bucket as u32).or_default() += 1;
        }
        let counted =
            count("The a NAIL-polish ab; the nail, SÜSS".replace("SS", "ß").as_str(), &config);
        assert_eq!(counted.buckets, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_family_without_weight_is_left_out() {
        let config = TfidfSvdConfig { word_weight: 0.0, char_weight: 0.0, ..Default::default() };
        let counted = count("one two", &config);
        assert_eq!(counted.buckets.len(), 1);
        assert_eq!(counted.buckets[0].0 >> config.bucket_bits, BIGRAM);
    }
}
