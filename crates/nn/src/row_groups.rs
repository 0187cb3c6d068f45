//! Which source rows add into which target row: the host-side plan of every row scatter.

/// Rows are counted rather than sorted where there are at most so many numbers a row.
const DENSE: usize = 4;

/// Source rows grouped by their target row: targets ascending, members in order of occurrence.
/// Sums over a group therefore never depend on the number of threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowGroups {
    targets: Vec<u32>,
    offsets: Vec<u32>,
    members: Vec<u32>,
}

impl RowGroups {
    /// Groups positions `0..rows.len()` by the row that they name.
    pub(crate) fn new(rows: &[u32]) -> Self {
        let count = u32::try_from(rows.len()).expect("fewer than 2^32 rows");
        match rows.iter().max() {
            Some(&last) if last as usize / DENSE <= rows.len() => Self::counted(rows, last),
            _ => Self::sorted(rows, count),
        }
    }

    /// Counts the members of every row up to the `last`, then puts each in its place.
    fn counted(rows: &[u32], last: u32) -> Self {
        let mut places = vec![0u32; last as usize + 1];
        rows.iter().for_each(|&row| places[row as usize] += 1);
        let (mut targets, mut offsets, mut sum) = (Vec::new(), vec![0], 0);
        for (target, place) in (0..).zip(&mut places) {
            let members = std::mem::replace(place, sum);
            if members > 0 {
                sum += members;
                targets.push(target);
                offsets.push(sum);
            }
        }
        let mut members = vec![0; rows.len()];
        for (member, &row) in (0..).zip(rows) {
            let place = &mut places[row as usize];
            members[*place as usize] = member;
            *place += 1;
        }
        Self { targets, offsets, members }
    }

    /// Sorts: for rows that are few among many.
    fn sorted(rows: &[u32], count: u32) -> Self {
        let mut keyed: Vec<u64> =
            (0..count).zip(rows).map(|(i, &row)| (u64::from(row) << 32) | u64::from(i)).collect();
        keyed.sort_unstable();
        let (mut targets, mut offsets) = (Vec::new(), Vec::new());
        let mut members = Vec::with_capacity(keyed.len());
        for key in keyed {
            let target = (key >> 32) as u32;
            if targets.last() != Some(&target) {
                targets.push(target);
                offsets.push(members.len() as u32);
            }
            members.push(key as u32);
        }
        offsets.push(members.len() as u32);
        Self { targets, offsets, members }
    }

    /// Groups bags of `bag` successive rows by the rows that they name; members are the bags. A
    /// bag that names a row twice counts twice.
    pub(crate) fn of_bags(rows: &[u32], bag: usize) -> Self {
        let mut groups = Self::new(rows);
        groups.members.iter_mut().for_each(|member| *member /= bag as u32);
        groups
    }

    /// Distinct target rows, ascending.
    pub(crate) fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Number of distinct target rows.
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    /// The source rows of one group.
    pub(crate) fn members(&self, group: usize) -> &[u32] {
        &self.members[self.offsets[group] as usize..self.offsets[group + 1] as usize]
    }

    /// The same groups with each target replaced by its place in `rows`, an ascending list that
    /// contains every target.
    pub(crate) fn within(mut self, rows: &[u32]) -> Self {
        let mut place = 0;
        for target in &mut self.targets {
            while rows[place] < *target {
                place += 1;
            }
            assert_eq!(rows[place], *target, "targets lie within the given rows");
            *target = place as u32;
        }
        self
    }
}

/// The ascending union of several ascending lists.
pub(crate) fn union<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Vec<u32> {
    let mut all: Vec<u32> = lists.flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_order_of_occurrence() {
        let groups = RowGroups::new(&[7, 2, 7, 9, 2, 7]);
        assert_eq!(groups.targets(), [2, 7, 9]);
        assert_eq!(groups.members(0), [1, 4]);
        assert_eq!(groups.members(1), [0, 2, 5]);
        assert_eq!(groups.members(2), [3]);
        assert_eq!(groups.within(&[1, 2, 7, 8, 9]).targets(), [1, 2, 4]);
    }

    #[test]
    fn counting_and_sorting_agree() {
        for len in [1, 2, 40, 3000] {
            let rows: Vec<u32> = (0..len).map(|i| (i * i + 7 * i) % (len / 2 + 3)).collect();
            let last = *rows.iter().max().unwrap();
            assert_eq!(RowGroups::counted(&rows, last), RowGroups::sorted(&rows, len));
        }
    }

    #[test]
    fn bags_are_members_of_all_their_rows() {
        let groups = RowGroups::of_bags(&[7, 2, 2, 2, 9, 7], 2);
        assert_eq!(groups.targets(), [2, 7, 9]);
        assert_eq!(groups.members(0), [0, 1, 1]);
        assert_eq!(groups.members(1), [0, 2]);
        assert_eq!(groups.members(2), [2]);
    }

    #[test]
    fn no_rows_make_no_groups() {
        assert_eq!(RowGroups::new(&[]).len(), 0);
        assert_eq!(union([[1, 3].as_slice(), &[0, 3]].into_iter()), [0, 1, 3]);
    }
}
