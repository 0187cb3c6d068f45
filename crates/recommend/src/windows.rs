//! Packed windows of sequences: what the sequence models run on.

use rand::Rng;

use crate::Sequences;

/// Where users' sequences are cut for one epoch: windows of at most `history` inputs, each of
/// which predicts the item after it.
///
/// A sequence that fits is one window. A longer one is cut at a random offset and then after
/// every `history` inputs, so that over the epochs every item is seen with every length of
/// context. Users with fewer than two items have nothing to predict and no window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Windows(Vec<Window>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    user: u32,
    /// First input.
    start: u32,
    /// Inputs.
    len: u32,
}

impl Windows {
    pub(crate) fn cut(sequences: &Sequences, history: usize, rng: &mut impl Rng) -> Windows {
        let mut windows = Vec::new();
        for (user, items) in sequences.iter().enumerate() {
            let inputs = items.len().saturating_sub(1);
            let first = if inputs > history { rng.random_range(1..=history) } else { inputs };
            let mut range = 0..first;
            while !range.is_empty() {
                let (start, len) = (range.start as u32, range.len() as u32);
                windows.push(Window { user: user as u32, start, len });
                range = range.end..inputs.min(range.end + history);
            }
        }
        Windows(windows)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The windows `chosen`, with the item after each input as its target. A window that begins a
    /// sequence begins with the row [`Packed::START`], whose target is the first item.
    pub(crate) fn pack(&self, sequences: &Sequences, chosen: &[u32]) -> (Packed, Vec<u32>) {
        let (mut packed, mut targets) = (Packed::default(), Vec::new());
        for &window in chosen {
            let Window { user, start, len } = self.0[window as usize];
            let items = sequences.of(user as usize);
            let (start, end) = (start as usize, (start + len) as usize);
            packed.push(&items[start..end], start == 0);
            targets.extend_from_slice(&items[if start == 0 { 0 } else { start + 1 }..=end]);
        }
        (packed, targets)
    }
}

/// Sequences of rows behind one another. A row is an item or the start of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    /// Items, or [`Packed::START`].
    pub(crate) items: Vec<u32>,
    /// Place in the window: 0 for the start, items from 1.
    pub(crate) positions: Vec<u32>,
    /// Sequence `s` owns rows `offsets[s]..offsets[s + 1]`.
    pub(crate) offsets: Vec<u32>,
}

impl Default for Packed {
    fn default() -> Packed {
        Packed { items: Vec::new(), positions: Vec::new(), offsets: vec![0] }
    }
}

impl Packed {
    /// The row before the first item of a sequence: what is known of a user without a history.
    pub(crate) const START: u32 = u32::MAX;

    /// The newest `history` items of each history.
    pub(crate) fn newest(histories: &[&[u32]], history: usize) -> Packed {
        let mut packed = Packed::default();
        for items in histories {
            let first = items.len().saturating_sub(history);
            packed.push(&items[first..], first == 0);
        }
        packed
    }

    fn push(&mut self, items: &[u32], begins: bool) {
        if begins {
            self.items.push(Self::START);
            self.positions.push(0);
        }
        self.items.extend_from_slice(items);
        self.positions.extend(1..=items.len() as u32);
        self.offsets.push(self.items.len() as u32);
    }
}

#[cfg(test)]
mod tests {
    use das_core::streams::stream;

    use super::*;

    fn sequences(lengths: &[usize]) -> Sequences {
        let offsets = lengths.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        });
        let offsets: Vec<usize> = std::iter::once(0).chain(offsets).collect();
        let items = (0..*offsets.last().unwrap() as u32).collect();
        Sequences::new(offsets, items).unwrap()
    }

    #[test]
    fn every_transition_is_in_one_window() {
        let sequences = sequences(&[0, 1, 2, 5, 6, 7, 30]);
        for epoch in 0..20 {
            let windows = Windows::cut(&sequences, 5, &mut stream(1, "windows", epoch));
            let all: Vec<u32> = (0..windows.len() as u32).collect();
            let (packed, targets) = windows.pack(&sequences, &all);
            assert_eq!(packed.items.len(), targets.len());
            let mut transitions = Vec::new();
            for pair in packed.offsets.windows(2) {
                let rows = pair[0] as usize..pair[1] as usize;
                let items =
                    packed.items[rows.clone()].iter().filter(|&&item| item != Packed::START);
                assert!((1..=5).contains(&items.count()));
                for row in rows {
                    if packed.items[row] != Packed::START {
                        transitions.push((packed.items[row], targets[row]));
                    }
                }
            }
            // Items are numbered through, so an item is followed by the next number; the last of
            // each user predicts nothing.
            let inputs = [1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19];
            let expected: Vec<(u32, u32)> =
                inputs.into_iter().chain(21..50).map(|item| (item, item + 1)).collect();
            assert_eq!(transitions, expected);
        }
    }

    #[test]
    fn offsets_of_long_sequences_vary() {
        let sequences = sequences(&[30]);
        let cut = |epoch| Windows::cut(&sequences, 5, &mut stream(1, "windows", epoch));
        assert_eq!(cut(0), cut(0));
        let firsts: std::collections::BTreeSet<u32> =
            (0..50).map(|epoch| cut(epoch).0[0].len).collect();
        assert_eq!(firsts.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn histories_keep_their_newest_items() {
        let packed = Packed::newest(&[&[], &[7], &[1, 2, 3, 4]], 3);
        assert_eq!(packed.items, [Packed::START, Packed::START, 7, 2, 3, 4]);
        assert_eq!(packed.positions, [0, 0, 1, 1, 2, 3]);
        assert_eq!(packed.offsets, [0, 1, 3, 6]);
    }
}
