//! Which buckets count, and how much: document frequencies, idf and row weights.

use crate::Result;

use super::config::TfidfSvdConfig;
use super::features::{Counts, FAMILIES};

/// Marks a bucket that no kept feature falls into.
const UNKNOWN: u32 = u32::MAX;

/// The kept buckets, each a column of the TF-IDF matrix.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bucket_bits: u32,
    family_weights: [f32; FAMILIES],
    /// Bucket of each column, ascending.
    buckets: Vec<u32>,
    idf: Vec<f32>,
    /// Column of each bucket, or [`UNKNOWN`].
    columns: Vec<u32>,
}

impl Vocabulary {
    /// Keeps the buckets that occur in at least `min_df` texts, the `max_features` most frequent
    /// of them, with idf = ln((1 + texts) / (1 + df)) + 1: smoothed as if one more text held
    /// every feature.
    pub(super) fn fit(texts: &[Counts], config: &TfidfSvdConfig) -> Vocabulary {
        let mut df = vec![0u32; FAMILIES << config.bucket_bits];
        for &(bucket, _) in texts.iter().flat_map(|counts| &counts.buckets) {
            df[bucket as usize] += 1;
        }
        let mut kept: Vec<u32> =
            (0..df.len() as u32).filter(|&b| df[b as usize] >= config.min_df).collect();
        kept.sort_unstable_by_key(|&bucket| (std::cmp::Reverse(df[bucket as usize]), bucket));
        kept.truncate(config.max_features);
        kept.sort_unstable();
        let texts = texts.len() as f64;
        let idf =
            |bucket: &u32| ((1.0 + texts) / (1.0 + f64::from(df[*bucket as usize]))).ln() + 1.0;
        let idf = kept.iter().map(|bucket| idf(bucket) as f32).collect();
        Self::index(kept, idf, config)
    }

    /// Takes saved columns, which may be anything.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub(super) fn from_columns(
        buckets: Vec<u32>,
        idf: Vec<f32>,
        config: &TfidfSvdConfig,
    ) -> Result<Vocabulary, String> {
        let all = FAMILIES << config.bucket_bits;
        if let Some(at) = buckets.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(format!("`buckets`: not ascending at column {}", at + 1));
        }
        if let Some(last) = buckets.last().filter(|&&last| last as usize >= all) {
            return Err(format!("`buckets`: expected values below {all}, got {last}"));
        }
        if let Some(at) = idf.iter().position(|idf| !(idf.is_finite() && *idf > 0.0)) {
            return Err(format!(
                "`idf`: expected a positive number at column {at}, got {}",
                idf[at]
            ));
        }
        Ok(Self::index(buckets, idf, config))
    }

    fn index(buckets: Vec<u32>, idf: Vec<f32>, config: &TfidfSvdConfig) -> Vocabulary {
        let mut columns = vec![UNKNOWN; FAMILIES << config.bucket_bits];
        for (column, &bucket) in buckets.iter().enumerate() {
            columns[bucket as usize] = column as u32;
        }
        let (bucket_bits, family_weights) = (config.bucket_bits, config.weights());
        Vocabulary { bucket_bits, family_weights, buckets, idf, columns }
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Bucket of each column.
    pub(super) fn buckets(&self) -> &[u32] {
        &self.buckets
    }

    /// Inverse document frequency of each column.
    pub(super) fn idf(&self) -> &[f32] {
        &self.idf
    }

    /// The TF-IDF row of a text as (column, weight), ascending; empty if nothing is known.
    ///
    /// A weight is (1 + ln tf)·idf; each family is brought to norm 1 and multiplied by its
    /// weight, so that the many character n-grams do not drown the words; then the row is
    /// brought to norm 1.
    pub(super) fn weigh(&self, counts: &Counts) -> Vec<(u32, f32)> {
        let mut row = Vec::with_capacity(counts.buckets.len());
        let mut norm = 0.0;
        for family in counts.buckets.chunk_by(|a, b| self.family(a.0) == self.family(b.0)) {
            let first = row.len();
            row.extend(family.iter().filter_map(|&(bucket, tf)| self.weight(bucket, tf)));
            let share = self.family_weights[self.family(family[0].0)];
            if first < row.len() {
                scale(&mut row[first..], f64::from(share));
                norm += f64::from(share).powi(2);
            }
        }
        for (_, weight) in &mut row {
            *weight = (f64::from(*weight) / norm.sqrt()) as f32;
        }
        row
    }

    fn family(&self, bucket: u32) -> usize {
        (bucket >> self.bucket_bits) as usize
    }

    fn weight(&self, bucket: u32, tf: u32) -> Option<(u32, f32)> {
        let column = self.columns[bucket as usize];
        let idf = *self.idf.get(column as usize)?;
        Some((column, ((1.0 + f64::from(tf).ln()) * f64::from(idf)) as f32))
    }
}

/// Brings `row` to the given norm.
fn scale(row: &mut [(u32, f32)], norm: f64) {
    let squares: f64 = row.iter().map(|&(_, weight)| f64::from(weight).powi(2)).sum();
    let factor = norm / squares.sqrt();
    for (_, weight) in row {
        *weight = (f64::from(*weight) * factor) as f32;
    }
}
