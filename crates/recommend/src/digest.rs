//! A hash of what a model is trained on, by which a checkpoint knows its data.

use das_core::files;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Query, Sequences};

/// SHA-256 in the making, over settings and columns of numbers.
pub(crate) struct InputDigest(Sha256);

impl InputDigest {
    /// The hash of these settings, so far.
    pub(crate) fn new(settings: &impl Serialize) -> InputDigest {
        let mut digest = InputDigest(Sha256::new());
        digest.bytes(&serde_json::to_vec(settings).expect("plain fields serialise"));
        digest
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn column(&mut self, values: &[u32]) {
        self.0.update((values.len() as u64).to_le_bytes());
        for values in values.chunks(4096) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.0.update(bytes);
        }
    }

    pub(crate) fn sequences(&mut self, sequences: &Sequences) {
        let lengths: Vec<u32> = sequences.iter().map(|items| items.len() as u32).collect();
        self.column(&lengths);
        self.column(sequences.items());
    }

    pub(crate) fn queries(&mut self, queries: &[&Query]) {
        for query in queries {
            self.column(&query.history);
            self.column(&[query.target]);
        }
    }

    /// The hash in hexadecimal.
    pub(crate) fn finish(self) -> String {
        files::hex(&self.0.finalize())
    }
}
