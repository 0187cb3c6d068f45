//! Reading an index in place.

use std::cmp::Ordering;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
use rayon::prelude::*;

use super::format::{Header, Sections};
use crate::sid::SidLayout;
use crate::{Error, IdRef, Result};

/// Rows checked at a time.
const CHUNK: usize = 1 << 16;
/// Guesses at the row of an integer id; on a straight line with noise some four are needed among 10^8.
const GUESSES: usize = 8;

/// The IDs of a side, mapped. See [the module](super) for the file.
///
/// Rows are numbered in ascending order of ids, *places* in ascending order of IDs. Like every
/// mapping, it relies on nobody truncating the file while it is open.
#[derive(Debug)]
pub struct SidIndex {
    map: Mmap,
    header: Header,
    sections: Sections,
    layout: SidLayout,
}

impl SidIndex {
    /// Maps the index at `path`, whose IDs have the given layout.
    ///
    /// Every section is read once: ids must ascend, codes be in range. That the rows of `by_sid`
    /// ascend is not checked; where they did not, prefixes would be answered wrongly.
    pub fn open(path: &Path, layout: &SidLayout) -> Result<SidIndex> {
        let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
        // SAFETY: the mapping is read-only and bytes have no invalid values; that the file is not
        // truncated while mapped is the documented condition of this type.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "cannot map"))?;
        SidIndex::over(map, layout).map_err(|message| Error::format(path, message))
    }

    fn over(map: Mmap, layout: &SidLayout) -> Result<SidIndex, String> {
        let header = Header::from_bytes(&map)?;
        let expected = Header::of(layout, header.text, header.rows, header.text_bytes);
        if header != expected {
            return Err(format!("holds {header:?}, expected {expected:?}"));
        }
        let sections = header.sections().filter(|sections| sections.by_sid.end == map.len());
        let sections = sections
            .ok_or_else(|| format!("{} bytes do not hold {} rows", map.len(), header.rows))?;
        if header.rows > u32::MAX as usize || (!header.text && header.text_bytes > 0) {
            return Err(format!("a header that cannot be: {header:?}"));
        }
        let index = SidIndex { map, header, sections, layout: layout.clone() };
        index.check_ids()?;
        index.check_codes()?;
        Ok(index)
    }

    fn check_ids(&self) -> Result<(), String> {
        if self.header.text {
            let text = &self.map[self.sections.text.clone()];
            let text = std::str::from_utf8(text).map_err(|error| format!("ids: {error}"))?;
            let offsets = self.numbers(&self.sections.ids);
            let whole = offsets.first() == Some(&0) && offsets.last() == Some(&(text.len() as i64));
            let inside = offsets
                .par_windows(2)
                .all(|pair| pair[0] <= pair[1] && text.is_char_boundary(pair[1].max(0) as usize));
            if !whole || !inside {
                return Err("offsets of ids that leave their text".into());
            }
        }
        let rows = (1..self.header.rows).into_par_iter();
        match rows.find_first(|&row| self.id(row as u32 - 1) >= self.id(row as u32)) {
            Some(row) => Err(format!("ids do not ascend at row {row}")),
            None => Ok(()),
        }
    }

    fn check_codes(&self) -> Result<(), String> {
        let widths: Vec<u32> = self.layout.widths().collect();
        let fits = |row: usize| self.codes(row as u32).zip(&widths).all(|(code, &w)| code < w);
        let rows = (0..self.header.rows).into_par_iter().with_min_len(CHUNK);
        if let Some(row) = rows.find_first(|&row| !fits(row)) {
            return Err(format!("a code of row {row} is out of range"));
        }
        if self.by_sid().par_iter().any(|&row| row as usize >= self.header.rows) {
            return Err("an order of IDs that names rows which are not there".into());
        }
        Ok(())
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.header.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.header.rows == 0
    }

    /// What the digits mean.
    pub fn layout(&self) -> &SidLayout {
        &self.layout
    }

    /// `int64` or `string`, for messages.
    pub fn type_name(&self) -> &'static str {
        if self.header.text { "string" } else { "int64" }
    }

    /// The id of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn id(&self, row: u32) -> IdRef<'_> {
        let numbers = self.numbers(&self.sections.ids);
        let row = row as usize;
        if !self.header.text {
            return IdRef::Int(numbers[row]);
        }
        let text = &self.map[self.sections.text.clone()];
        let id = &text[numbers[row] as usize..numbers[row + 1] as usize];
        // SAFETY: `check_ids` found the whole text valid and every offset between characters.
        IdRef::Text(unsafe { std::str::from_utf8_unchecked(id) })
    }

    /// Row of an id, in either spelling.
    pub fn row_of(&self, id: IdRef<'_>) -> Option<u32> {
        match id {
            IdRef::Int(id) => self.row_of_int(id),
            IdRef::Text(id) => self.row_of_text(id),
        }
    }

    /// Row of an integer id; string ids are matched by their decimal spelling.
    pub fn row_of_int(&self, id: i64) -> Option<u32> {
        if self.header.text {
            self.find_text(&id.to_string())
        } else {
            find_int(self.numbers(&self.sections.ids), id)
        }
    }

    /// Row of a string id; integer ids are matched by their decimal spelling.
    pub fn row_of_text(&self, id: &str) -> Option<u32> {
        if self.header.text {
            self.find_text(id)
        } else {
            find_int(self.numbers(&self.sections.ids), id.parse().ok()?)
        }
    }

    fn find_text(&self, id: &str) -> Option<u32> {
        let id = IdRef::Text(id);
        let at = partition_point(self.header.rows, |row| self.id(row) < id);
        ((at as usize) < self.header.rows && self.id(at) == id).then_some(at)
    }

    /// The ID of a row, digit by digit.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn codes(&self, row: u32) -> impl ExactSizeIterator<Item = u32> + '_ {
        let width = self.header.code_bytes;
        let bytes = self.header.digits * width;
        let start = self.sections.codes.start + row as usize * bytes;
        assert!(start + bytes <= self.sections.codes.end, "row {row} of {}", self.header.rows);
        self.map[start..start + bytes].chunks_exact(width).map(move |code| {
            let mut whole = [0; 4];
            whole[..width].copy_from_slice(code);
            u32::from_le_bytes(whole)
        })
    }

    /// The places of all IDs that begin with `prefix`; empty where none does.
    pub fn places(&self, prefix: &[u32]) -> Range<u32> {
        if prefix.len() > self.header.digits {
            return 0..0;
        }
        let compared = |place: u32| self.codes(self.row_at(place)).take(prefix.len());
        let start =
            partition_point(self.header.rows, |place| compared(place).lt(prefix.iter().copied()));
        let end =
            partition_point(self.header.rows, |place| compared(place).le(prefix.iter().copied()));
        start..end
    }

    /// The row at a place.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn row_at(&self, place: u32) -> u32 {
        self.by_sid()[place as usize]
    }

    fn by_sid(&self) -> &[u32] {
        bytemuck::cast_slice(&self.map[self.sections.by_sid.clone()])
    }

    fn numbers(&self, section: &Range<usize>) -> &[i64] {
        bytemuck::cast_slice(&self.map[section.clone()])
    }
}

/// Where `id` stands among ascending ids.
///
/// Ids that are counted, hashed or made of a clock lie near a straight line, on which a few guesses find one: each reads
/// one place of a list that is larger than the caches, of which halving reads some twenty. Halving does the rest.
fn find_int(ids: &[i64], id: i64) -> Option<u32> {
    let (mut low, mut high) = (0, ids.len());
    let (mut least, mut most) = (*ids.first()?, *ids.last()?);
    for _ in 0..GUESSES {
        if !(least..=most).contains(&id) {
            return None;
        }
        let part = id.abs_diff(least) as f64 / most.abs_diff(least).max(1) as f64;
        let guess = (low + (part * (high - 1 - low) as f64) as usize).min(high - 1);
        match ids[guess].cmp(&id) {
            Ordering::Equal => return Some(guess as u32),
            Ordering::Less => (low, least) = (guess + 1, ids[guess].saturating_add(1)),
            Ordering::Greater => (high, most) = (guess, ids[guess].saturating_sub(1)),
        }
        if low == high {
            return None;
        }
    }
    let at = ids[low..high].binary_search(&id).ok()?;
    Some((low + at) as u32)
}

/// The first of `0..len` that `before` does not hold for.
fn partition_point(len: usize, before: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, len as u32);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_ids() -> impl Strategy<Value = Vec<i64>> {
        let dense =
            (-50i64..50, 0usize..200).prop_map(|(first, count)| (first..).take(count).collect());
        let powers = prop::collection::vec((any::<bool>(), 0u32..63), 0..80).prop_map(|powers| {
            powers
                .into_iter()
                .map(|(negative, power)| if negative { -(1 << power) } else { 1 << power })
                .collect()
        });
        let anywhere = prop::collection::vec(any::<i64>(), 0..200);
        let extreme = prop::collection::vec(
            prop_oneof![
                Just(i64::MIN),
                Just(i64::MIN + 1),
                Just(0),
                Just(i64::MAX - 1),
                Just(i64::MAX)
            ],
            0..8,
        );
        let ascending = |mut ids: Vec<i64>| {
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        prop_oneof![dense, powers, anywhere, extreme].prop_map(ascending)
    }

    proptest! {
        #[test]
        fn guesses_find_what_halving_finds(ids in any_ids(), other in any::<i64>()) {
            let near = ids.iter().flat_map(|id| [id.saturating_sub(1), *id, id.saturating_add(1)]);
            for id in near.chain([other, i64::MIN, 0, i64::MAX]) {
                let expected = ids.binary_search(&id).ok().map(|at| at as u32);
                prop_assert_eq!(find_int(&ids, id), expected, "{}", id);
            }
        }
    }
}
