//! Texts of similar length together, so that tasks of a batch take equally long.

use super::tokens::TokenIds;

/// Sequences laid end to end.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Packed {
    /// Which texts these are.
    pub(super) rows: Vec<usize>,
    pub(super) tokens: Vec<u32>,
    /// Text `i` owns the tokens `offsets[i]..offsets[i + 1]`.
    pub(super) offsets: Vec<u32>,
}

/// Cuts texts, longest first, into batches of up to `batch_tokens` tokens and at least one text.
pub(super) fn pack(texts: &[TokenIds], batch_tokens: usize) -> Vec<Packed> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(texts[row].ids.len()));
    let mut batches: Vec<Packed> = Vec::new();
    for row in order {
        let ids = &texts[row].ids;
        let full = |batch: &Packed| batch.tokens.len() + ids.len() > batch_tokens;
        if batches.last().is_none_or(full) {
            batches.push(Packed { offsets: vec![0], ..Default::default() });
        }
        let batch = batches.last_mut().expect("one was pushed");
        batch.rows.push(row);
        batch.tokens.extend_from_slice(ids);
        batch.offsets.push(batch.tokens.len() as u32);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_once_and_no_batch_too_long() {
        let lengths = [3, 9, 1, 4, 4, 2, 12];
        let texts: Vec<TokenIds> = lengths
            .iter()
            .map(|&length| TokenIds { ids: vec![length as u32; length], truncated: false })
            .collect();
        let batches = pack(&texts, 10);
        let rows: Vec<Vec<usize>> = batches.iter().map(|batch| batch.rows.clone()).collect();
        assert_eq!(rows, [vec![6], vec![1], vec![3, 4], vec![0, 5, 2]]);
        for batch in &batches {
            for (&row, ends) in batch.rows.iter().zip(batch.offsets.windows(2)) {
                let own = &batch.tokens[ends[0] as usize..ends[1] as usize];
                assert_eq!(own, texts[row].ids);
            }
        }
        assert_eq!(pack(&[], 10), []);
    }
}
