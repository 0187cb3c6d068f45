//! Logits of impressions.

use das_core::progress::{Cancel, Progress};
use das_core::streams::stream;
use das_nn::Tape;

use super::Ranker;
use super::batch::BatchBuilder;
use super::features::Features;
use super::impressions::Impressions;
use super::schema::Schema;
use crate::Result;

/// Impressions that are scored together. Matrix products add up in an order that follows from
/// their shape, so every block has this many rows: the last one repeats its last row.
const BLOCK: usize = 512;

/// Items are encoded in multiples of this many: enough for products to be cut into tall tiles,
/// whose rows come out the same for any number of tiles.
const ITEM_BLOCK: usize = 1024;

impl Ranker {
    /// The logit of a click, ln(p / (1 − p)), for each impression; labels are not looked at.
    /// `features` may hold other users and items than in training, and more or fewer, as long as
    /// the fields and the levels of semantic IDs are the same.
    ///
    /// A row's logit depends on that row alone, to the last bit: not on its place, on the rows
    /// beside it or on the number of threads.
    ///
    /// # Errors
    /// If the fields are not those of training, a user or item has no row in `features`, or
    /// `cancel` was requested.
    pub fn predict(
        &self,
        features: &Features,
        impressions: &Impressions,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        self.schema.check(&Schema::of(features, impressions))?;
        impressions.check(features)?;
        progress.begin("predicting clicks", Some(impressions.len() as u64));
        let builder = BatchBuilder {
            features,
            impressions,
            user_rows: &self.user_rows,
            item_rows: &self.item_rows,
            history: self.config.history,
            item_multiple: ITEM_BLOCK,
        };
        let count = impressions.len();
        let mut logits = Vec::with_capacity(count.next_multiple_of(BLOCK));
        // Inference draws no numbers from it.
        let mut unused = stream(0, "ranker inference", 0);
        while logits.len() < count {
            cancel.check()?;
            let rows = logits.len()..logits.len() + BLOCK;
            let rows: Vec<u32> = rows.map(|row| row.min(count - 1) as u32).collect();
            let batch = builder.build(&rows);
            let mut tape = Tape::inference(&self.params);
            let of_rows = self.model.forward(&mut tape, &batch, &mut unused);
            logits.extend(tape.value(of_rows).to_vec());
            progress.update(logits.len().min(count) as u64, "");
        }
        progress.end();
        logits.truncate(count);
        Ok(logits)
    }
}
