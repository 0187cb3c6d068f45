//! The semantic IDs that exist, as a prefix tree.

use std::ops::Range;

use super::SidTable;

/// A prefix tree over the IDs of a [`SidTable`].
///
/// A node of depth `d` is a prefix of `d` digits that some row has; the root has depth 0, and the
/// nodes of the last depth, the *leaves*, are the distinct IDs. The nodes of a depth are numbered
/// from 0 in lexicographic order, so the children of a node are a run of numbers one depth below,
/// with ascending codes. A leaf holds the rows that share its ID.
///
/// Everything is a sorted array, so a child is found by binary search. Memory is 8 bytes a node
/// and 8 bytes a row: with D digits at most 8 (D + 1) bytes a row, 400 MB for 10^7 items on four
/// digits if no two shared a prefix, and about half of it in practice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trie {
    levels: Vec<Level>,
    /// Rows by leaf, ascending in each.
    rows: Vec<u32>,
    /// The leaf of every row.
    leaf_of: Vec<u32>,
}

/// The nodes of one depth.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    /// The last digit of each node's prefix; for the root, which has none, 0.
    codes: Vec<u32>,
    /// Node `n` owns `below[n]..below[n + 1]`: children, or at the leaves places in `rows`.
    below: Vec<u32>,
}

impl Level {
    fn below(&self, node: u32) -> Range<u32> {
        self.below[node as usize]..self.below[node as usize + 1]
    }
}

impl Trie {
    /// The tree of all rows of `table`.
    pub fn new(table: &SidTable) -> Trie {
        let digits = table.layout().num_digits();
        let mut rows: Vec<u32> = Vec::with_capacity(table.len());
        let mut levels: Vec<Level> =
            (0..=digits).map(|_| Level { codes: Vec::new(), below: Vec::new() }).collect();
        let mut leaf_of = vec![0; table.len()];
        let mut last: Option<&[u32]> = None;
        for bucket in table.buckets(digits).iter() {
            let codes = table.row(bucket[0] as usize);
            // Nodes of the prefixes that the ID before does not share; the root only once.
            let shared = last.map_or(0, |last| {
                1 + last.iter().zip(codes).take_while(|(before, now)| before == now).count()
            });
            for depth in shared..=digits {
                let below = levels.get(depth + 1).map_or(rows.len(), |level| level.codes.len());
                levels[depth].below.push(below as u32);
                levels[depth].codes.push(if depth == 0 { 0 } else { codes[depth - 1] });
            }
            let leaf = levels[digits].codes.len() as u32 - 1;
            bucket.iter().for_each(|&row| leaf_of[row as usize] = leaf);
            rows.extend_from_slice(bucket);
            last = Some(codes);
        }
        for depth in 0..=digits {
            let end = levels.get(depth + 1).map_or(rows.len(), |level| level.codes.len());
            levels[depth].below.push(end as u32);
        }
        if rows.is_empty() {
            levels[0] = Level { codes: vec![0], below: vec![0, 0] };
        }
        Trie { levels, rows, leaf_of }
    }

    /// Digits of an ID: the depth of the leaves.
    pub fn num_digits(&self) -> usize {
        self.levels.len() - 1
    }

    /// Rows in all leaves.
    pub fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// Distinct IDs.
    pub fn num_leaves(&self) -> usize {
        self.num_nodes(self.num_digits())
    }

    /// Distinct prefixes of `depth` digits.
    pub fn num_nodes(&self, depth: usize) -> usize {
        self.levels[depth].codes.len()
    }

    /// The last digit of every node of `depth`, in node order.
    pub fn codes(&self, depth: usize) -> &[u32] {
        &self.levels[depth].codes
    }

    /// The children of a node, which lie at `depth + 1`.
    ///
    /// # Panics
    /// If the node does not exist or is a leaf.
    pub fn children(&self, depth: usize, node: u32) -> Range<u32> {
        assert!(depth < self.num_digits(), "a leaf has no children");
        self.levels[depth].below(node)
    }

    /// The leaves below a node.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn leaves(&self, depth: usize, node: u32) -> Range<u32> {
        let levels = &self.levels[depth..self.num_digits()];
        levels.iter().fold(node..node + 1, |nodes, level| {
            if nodes.is_empty() {
                return nodes;
            }
            level.below(nodes.start).start..level.below(nodes.end - 1).end
        })
    }

    /// The child of a node whose next digit is `code`.
    ///
    /// # Panics
    /// If the node does not exist or is a leaf.
    pub fn child(&self, depth: usize, node: u32, code: u32) -> Option<u32> {
        let children = self.children(depth, node);
        let codes = &self.codes(depth + 1)[children.start as usize..children.end as usize];
        let at = codes.binary_search(&code).ok()?;
        Some(children.start + at as u32)
    }

    /// The leaf of an ID; none where no row has it.
    pub fn leaf(&self, codes: &[u32]) -> Option<u32> {
        if codes.len() != self.num_digits() {
            return None;
        }
        let step = |node, (depth, &code)| self.child(depth, node, code);
        codes.iter().enumerate().try_fold(0, step)
    }

    /// The leaf that holds a row.
    pub fn leaf_of(&self, row: u32) -> u32 {
        self.leaf_of[row as usize]
    }

    /// The rows that share the ID of a leaf, ascending; never none.
    pub fn rows(&self, leaf: u32) -> &[u32] {
        let places = self.levels[self.num_digits()].below(leaf);
        &self.rows[places.start as usize..places.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::sid::SidLayout;

    fn table(sizes: Vec<u32>, codes: Vec<u32>) -> SidTable {
        SidTable::new(SidLayout::learned(sizes).unwrap(), codes).unwrap()
    }

    #[test]
    fn a_small_tree_by_hand() {
        let codes = vec![2, 0, 1, 1, 2, 1, 1, 1, 1, 0];
        let trie = Trie::new(&table(vec![3, 2], codes));
        assert_eq!((trie.num_digits(), trie.num_rows(), trie.num_leaves()), (2, 5, 4));
        assert_eq!(trie.codes(1), [1, 2]);
        assert_eq!(trie.codes(2), [0, 1, 0, 1]);
        assert_eq!(trie.children(0, 0), 0..2);
        assert_eq!(trie.children(1, 1), 2..4);
        assert_eq!((trie.leaves(0, 0), trie.leaves(1, 1), trie.leaves(2, 3)), (0..4, 2..4, 3..4));
        assert_eq!(trie.child(0, 0, 2), Some(1));
        assert_eq!(trie.child(0, 0, 0), None);
        assert_eq!(trie.leaf(&[1, 1]), Some(1));
        assert_eq!(trie.leaf(&[0, 1]), None);
        assert_eq!(trie.leaf(&[1]), None);
        assert_eq!(trie.rows(1), [1, 3]);
        assert_eq!((0..5).map(|row| trie.leaf_of(row)).collect::<Vec<_>>(), [2, 1, 3, 1, 0]);
    }

    #[test]
    fn one_row_and_none() {
        let one = Trie::new(&table(vec![5, 5, 5], vec![4, 3, 2]));
        assert_eq!((one.num_leaves(), one.leaf(&[4, 3, 2])), (1, Some(0)));
        let none = Trie::new(&table(vec![5, 5, 5], vec![]));
        assert_eq!(
            (none.num_leaves(), none.children(0, 0), none.leaf(&[0, 0, 0]), none.leaves(0, 0)),
            (0, 0..0, None, 0..0)
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_map_of_prefixes(codes in prop::collection::vec(0u32..4, 0..200)) {
            let codes = codes[..codes.len() / 3 * 3].to_vec();
            let table = table(vec![4; 3], codes);
            let trie = Trie::new(&table);
            for depth in 1..=3 {
                let mut rows: BTreeMap<&[u32], Vec<u32>> = BTreeMap::new();
                for row in 0..table.len() {
                    rows.entry(table.prefix(row, depth)).or_default().push(row as u32);
                }
                prop_assert_eq!(trie.num_nodes(depth), rows.len());
                let last: Vec<u32> = rows.keys().map(|prefix| prefix[depth - 1]).collect();
                prop_assert_eq!(trie.codes(depth), last);
                for (node, (prefix, rows)) in rows.iter().enumerate() {
                    let found = prefix.iter().enumerate().try_fold(0, |node, (depth, &code)| {
                        trie.child(depth, node, code)
                    });
                    prop_assert_eq!(found, Some(node as u32));
                    if depth == 3 {
                        prop_assert_eq!(trie.rows(node as u32), &rows[..]);
                        prop_assert_eq!(trie.leaf(prefix), Some(node as u32));
                        prop_assert!(rows.iter().all(|&row| trie.leaf_of(row) == node as u32));
                    }
                }
            }
        }
    }
}
