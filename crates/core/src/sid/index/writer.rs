//! Writing an index.

use std::io::{self, Write};
use std::path::Path;

use rayon::slice::ParallelSliceMut;

use super::format::{ALIGNMENT, Header};
use crate::sid::SidTable;
use crate::sid::files::check_rows;
use crate::{EntityIds, Error, Result, files};

/// Writes the index of `ids` and their IDs; `path` is replaced atomically. Equal rows give equal
/// bytes, in whatever order they come. An id that occurs twice is refused.
pub fn write_index(path: &Path, ids: &EntityIds, table: &SidTable) -> Result<()> {
    check_rows(ids, table)?;
    let order = ascending(ids)?;
    let mut by_sid: Vec<u32> = (0..order.len() as u32).collect();
    let key = |row: &u32| (table.row(order[*row as usize] as usize), *row);
    by_sid.par_sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    files::write_atomic(path, |out| write(ids, table, &order, &by_sid, out))
}

/// Rows in ascending order of their ids.
fn ascending(ids: &EntityIds) -> Result<Vec<u32>> {
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    let equal = |pair: &&[u32]| match ids {
        EntityIds::Int(ids) => ids[pair[0] as usize] == ids[pair[1] as usize],
        EntityIds::Text(ids) => ids[pair[0] as usize] == ids[pair[1] as usize],
    };
    match ids {
        EntityIds::Int(ids) => order.par_sort_unstable_by_key(|&row| ids[row as usize]),
        EntityIds::Text(ids) => {
            order.par_sort_unstable_by(|&a, &b| ids[a as usize].cmp(&ids[b as usize]));
        }
    }
    match order.windows(2).find(equal) {
        Some(pair) => {
            let (id, mut rows) = (ids.display(pair[0] as usize), [pair[0], pair[1]]);
            rows.sort_unstable();
            Err(Error::Invalid(format!("duplicate id {id} in rows {} and {}", rows[0], rows[1])))
        }
        None => Ok(order),
    }
}

fn write(
    ids: &EntityIds,
    table: &SidTable,
    order: &[u32],
    by_sid: &[u32],
    out: &mut impl Write,
) -> io::Result<()> {
    let text_bytes = match ids {
        EntityIds::Int(_) => 0,
        EntityIds::Text(ids) => ids.iter().map(String::len).sum(),
    };
    let is_text = matches!(ids, EntityIds::Text(_));
    let header = Header::of(table.layout(), is_text, ids.len(), text_bytes);
    let mut out = Aligned { out, written: 0 };
    out.write(&header.to_bytes())?;
    out.align()?;
    match ids {
        EntityIds::Int(ids) => {
            order.iter().try_for_each(|&row| out.write(&ids[row as usize].to_le_bytes()))?;
        }
        EntityIds::Text(ids) => {
            let mut end = 0u64;
            out.write(&end.to_le_bytes())?;
            for &row in order {
                end += ids[row as usize].len() as u64;
                out.write(&end.to_le_bytes())?;
            }
            out.align()?;
            order.iter().try_for_each(|&row| out.write(ids[row as usize].as_bytes()))?;
        }
    }
    out.align()?;
    for &row in order {
        for code in table.row(row as usize) {
            out.write(&code.to_le_bytes()[..header.code_bytes])?;
        }
    }
    out.align()?;
    by_sid.iter().try_for_each(|row| out.write(&row.to_le_bytes()))
}

/// Counts bytes, to pad sections.
struct Aligned<'a, W> {
    out: &'a mut W,
    written: usize,
}

impl<W: Write> Aligned<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let padding = self.written.next_multiple_of(ALIGNMENT) - self.written;
        self.write(&[0; ALIGNMENT][..padding])
    }
}
