//! How IDs use their codes, and which items share prefixes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use das_core::Side;
use das_core::metrics::{DecileMetrics, intrinsic};
use das_core::sid::SidTable;
use serde::Deserialize;
use serde_json::Value;

use crate::report::model::{PrefixNode, SideIds};

/// First codes, second codes of each and items of these that the page lists.
const SHOWN: [usize; 2] = [60, 6];
const EXAMPLES: usize = 4;

/// The figures of one side. `metrics` are those of the manifest, for what IDs alone do not tell.
pub(super) fn side(side: Side, table: &SidTable, metrics: &Value) -> anyhow::Result<SideIds> {
    let layout = table.layout();
    let usage = (0..layout.num_levels())
        .map(|level| {
            let mut counts = vec![0u64; layout.codebook_sizes()[level] as usize];
            table.rows().for_each(|codes| counts[codes[level] as usize] += 1);
            counts.sort_unstable_by_key(|&count| Reverse(count));
            counts
        })
        .collect();
    let mut buckets = BTreeMap::new();
    for rows in table.buckets(layout.num_levels()).iter() {
        *buckets.entry(rows.len()).or_insert(0) += 1;
    }
    let noted = &metrics["intrinsic"][side.name()]["popularity_deciles"];
    // Runs that noted none, or noted them in another form, have none.
    let deciles = Vec::<DecileMetrics>::deserialize(noted).unwrap_or_default();
    Ok(SideIds {
        side,
        metrics: intrinsic(table, None)?,
        usage,
        buckets: buckets.into_iter().collect(),
        deciles,
    })
}

/// The first codes with most items, below each the second codes with most items, and examples of
/// these. Ties go to the lower code.
pub(super) fn prefixes(table: &SidTable, titles: &[String]) -> Vec<PrefixNode> {
    let depth = table.layout().num_levels().min(SHOWN.len());
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    below(table, titles, &rows, 0, depth)
}

fn below(
    table: &SidTable,
    titles: &[String],
    rows: &[u32],
    level: usize,
    depth: usize,
) -> Vec<PrefixNode> {
    let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for &row in rows {
        groups.entry(table.row(row as usize)[level]).or_default().push(row);
    }
    let mut groups: Vec<Vec<u32>> = groups.into_values().collect();
    groups.sort_by_key(|rows| Reverse(rows.len()));
    groups.truncate(SHOWN[level]);
    let last = level + 1 == depth;
    let example = |&row: &u32| {
        let row = row as usize;
        (table.row(row).to_vec(), titles[row].clone())
    };
    groups
        .into_iter()
        .map(|rows| PrefixNode {
            prefix: table.prefix(rows[0] as usize, level + 1).to_vec(),
            items: rows.len(),
            children: if last { Vec::new() } else { below(table, titles, &rows, level + 1, depth) },
            examples: if last {
                rows.iter().take(EXAMPLES).map(example).collect()
            } else {
                Vec::new()
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use das_core::sid::SidLayout;
    use serde_json::json;

    use super::*;

    fn table() -> SidTable {
        let layout = SidLayout::learned(vec![3, 2, 2]).unwrap();
        let codes = [[1, 0, 0], [2, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]];
        SidTable::new(layout, codes.concat()).unwrap()
    }

    #[test]
    fn usage_is_sorted_and_buckets_are_counted() {
        let found = side(Side::Item, &table(), &json!({})).unwrap();
        assert_eq!(found.usage, [vec![4, 1, 0], vec![4, 1], vec![3, 2]]);
        assert_eq!(found.buckets, [(1, 3), (2, 1)]);
        assert!(found.deciles.is_empty());
    }

    #[test]
    fn prefixes_go_by_their_number_of_items() {
        let titles: Vec<String> = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
        let found = prefixes(&table(), &titles);
        let sizes: Vec<_> = found.iter().map(|node| (node.prefix.clone(), node.items)).collect();
        assert_eq!(sizes, [(vec![1], 4), (vec![2], 1)]);
        let children: Vec<_> = found[0].children.iter().map(|n| n.prefix.clone()).collect();
        assert_eq!(children, [[1, 1], [1, 0]]);
        let examples: Vec<&str> =
            found[0].children[0].examples.iter().map(|(_, title)| &**title).collect();
        assert_eq!(examples, ["c", "d", "e"]);
        assert_eq!(found[0].children[0].examples[0].0, [1, 1, 0]);
    }
}
