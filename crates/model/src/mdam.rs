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
    teachers: Option<&Unbiased>,
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
    if let Some(teachers) = teachers {
        let [interest, property] = [teachers.interest, teachers.property]
            .map(|teacher| if config.teacher_gradient { teacher } else { tape.detach(teacher) });
        let pairs = [
            (Term::QuPro, &user, property, &batch.item, click),
            (Term::QiInt, &item, interest, &batch.user, click_transposed),
            (Term::QuInt, &user, interest, &batch.user, user_repeats),
            (Term::QiPro, &item, property, &batch.item, item_repeats),
        ];
        for (term, side, teacher, taught_by, options) in pairs {
            let (true, Some(side)) = (config.enabled(term), side) else { continue };
            let trusted = taught_by.trust.as_deref().map(|trust| Trusted::new(trust, options));
            let (weights, share) = match &trusted {
                Some(trusted) => (Some(&trusted.weights[..]), trusted.share),
                None => (options.row_weights, 1.0),
            };
            let options = InfoNce { row_weights: weights, ..options };
            terms.add_share(term, tape.info_nce(side.clicks, teacher, &options), share);
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

/// Clicks weighted by how far their teachers are trusted.
struct Trusted {
    weights: Vec<f32>,
    /// What is left of the clicks' weight: a contrast is a mean, whatever its weights add up to.
    share: f32,
}

impl Trusted {
    fn new(trust: &[f32], options: InfoNce<'_>) -> Trusted {
        let ones = vec![1.0; trust.len()];
        let clicks = options.row_weights.unwrap_or(&ones);
        let weights: Vec<f32> = trust.iter().zip(clicks).map(|(t, w)| t * w).collect();
        let share = weights.iter().sum::<f32>() / clicks.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        Trusted { weights, share }
    }
}

impl<'a> Quantized<'a> {
    fn new(tape: &mut Tape<'_>, quantized: Var, batch: &'a SideBatch) -> Quantized<'a> {
        let encoded = tape.normalize(quantized);
        let clicks = tape.select_rows(encoded, &batch.anchors);
        Quantized { encoded, clicks, batch }
    }
}
