//! MDAM: the contrastive alignments of quantized vectors (paper).
//!
//! u2i: (q_u ↔ c_i^pro), (q_i ↔ c_u^int); u2u and i2i: (q_u ↔ c_u^int), (q_i ↔ c_i^pro);
//! co-occurrence: (q_u ↔ q_u′), (q_i ↔ q_i′). Plus (ours) a direct (q_u ↔ q_i) on clicks.
//! All are InfoNCE between L2-normalised vectors, against the unbiased parts only.

use das_nn::{InfoNce, Tape, Var};

use crate::batch::{Batch, SideBatch};
use crate::icdm::Unbiased;
use crate::step::DasTerms;
use crate::terms::Term;

/// The L2-normalised quantized vectors of one side: one row per encoded entity.
struct Quantized<'a> {
    encoded: Var,
    /// One row per click.
    clicks: Var,
    batch: &'a SideBatch,
}

/// Adds the terms of L_align. `quantized` is `[users, items]`, one row per encoded entity, for the
/// sides that have a tokenizer.
pub(crate) fn align(
    tape: &mut Tape<'_>,
    batch: &Batch,
    quantized: [Option<Var>; 2],
    unbiased: Option<&Unbiased>,
    terms: &mut DasTerms<'_>,
) {
    let config = terms.config;
    let [user, item] = quantized;
    let user = user.map(|user| Quantized::new(tape, user, &batch.user));
    let item = item.map(|item| Quantized::new(tape, item, &batch.item));
    let base = InfoNce { row_weights: batch.weights.as_deref(), ..config.info_nce() };
    let [user_repeats, item_repeats] =
        [&batch.user, &batch.item].map(|side| InfoNce { mask: side.repeats.as_ref(), ..base });
    let click = InfoNce { mask: batch.positives.as_ref(), ..base };
    let click_transposed = InfoNce { mask: batch.positives_transposed.as_ref(), ..base };
    if let Some(unbiased) = unbiased {
        let pairs = [
            (Term::QuPro, &user, unbiased.property, click),
            (Term::QiInt, &item, unbiased.interest, click_transposed),
            (Term::QuInt, &user, unbiased.interest, user_repeats),
            (Term::QiPro, &item, unbiased.property, item_repeats),
        ];
        for (term, side, teacher, options) in pairs {
            if let (true, Some(side)) = (config.enabled(term), side) {
                terms.add(term, tape.info_nce(side.clicks, teacher, &options));
            }
        }
    }
    for (term, side) in [(Term::CoU, &user), (Term::CoI, &item)] {
        let Some(side) = side else { continue };
        if let (true, Some(partners)) = (config.enabled(term), &side.batch.partners) {
            let other = tape.select_rows(side.encoded, &partners.positions);
            let options = partners.contrast(config);
            terms.add(term, tape.info_nce(side.clicks, other, &options));
        }
    }
    if let (true, Some(user), Some(item)) = (config.enabled(Term::QuQi), &user, &item) {
        terms.add(Term::QuQi, tape.info_nce(user.clicks, item.clicks, &click));
    }
}

impl<'a> Quantized<'a> {
    fn new(tape: &mut Tape<'_>, quantized: Var, batch: &'a SideBatch) -> Quantized<'a> {
        let encoded = tape.normalize(quantized);
        let clicks = tape.select_rows(encoded, &batch.anchors);
        Quantized { encoded, clicks, batch }
    }
}
