//! A hash of a ranker's inputs, by which a checkpoint knows its data.

use das_core::sid::SidTable;
use sha2::{Digest, Sha256};

use super::features::{CategoricalField, Features};
use super::impressions::Impressions;
use crate::Sequences;

/// SHA-256 in the making, over columns of numbers.
#[derive(Default)]
pub(super) struct InputDigest(Sha256);

impl InputDigest {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn features(&mut self, features: &Features) {
        let Features { user_fields, item_fields, item_bags, user_sids, item_sids, .. } = features;
        user_fields.iter().chain(item_fields).for_each(|field| self.field(field));
        for bag in item_bags {
            self.bytes(bag.name().as_bytes());
            self.sequences(bag.bags());
        }
        for sids in [user_sids, item_sids] {
            self.column(sids.as_ref().map_or(&[], SidTable::codes));
        }
    }

    pub(super) fn impressions(&mut self, impressions: &Impressions) {
        self.column(impressions.users());
        self.column(impressions.items());
        let labels: Vec<u8> = impressions.labels().iter().map(|&label| u8::from(label)).collect();
        self.bytes(&labels);
        impressions.context().iter().for_each(|field| self.field(field));
        self.sequences(impressions.histories());
    }

    /// The hash in hexadecimal.
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn field(&mut self, field: &CategoricalField) {
        self.bytes(field.name().as_bytes());
        self.column(field.values());
    }

    fn sequences(&mut self, sequences: &Sequences) {
        let lengths: Vec<u32> = sequences.iter().map(|items| items.len() as u32).collect();
        self.column(&lengths);
        self.column(sequences.items());
    }

    fn column(&mut self, values: &[u32]) {
        self.0.update((values.len() as u64).to_le_bytes());
        for values in values.chunks(4096) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.0.update(bytes);
        }
    }
}
