//! Vectors from `.npy`: f32 mapped in place, other floats converted piece by piece.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use arrow_array::types::{ArrowPrimitiveType, Float16Type};
use das_core::npy::{self, NpyHeader, NpyMatrix, NpyType};
use das_core::{EntityIds, MappedMatrix, RowMatrix};
use rayon::prelude::*;

use super::fault;
use super::spool::Spool;
use crate::{Error, Result};

type F16 = <Float16Type as ArrowPrimitiveType>::Native;

pub(super) fn open(path: &Path) -> Result<MappedMatrix> {
    match npy::open(path)? {
        NpyMatrix::Mapped(matrix) => Ok(matrix),
        NpyMatrix::Other(header) => convert(path, &header),
    }
}

fn convert(path: &Path, header: &NpyHeader) -> Result<MappedMatrix> {
    let mut file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    file.seek(SeekFrom::Start(header.offset)).map_err(Error::io(path, "cannot read"))?;
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut spool = Spool::new(path, header.dim)?;
    // The header was checked against the file's length, so a row is no longer than the file.
    let mut bytes = vec![0u8; header.dim * header.dtype.width()];
    let mut row = Vec::with_capacity(header.dim);
    for _ in 0..header.rows {
        input.read_exact(&mut bytes).map_err(Error::io(path, "cannot read"))?;
        row.clear();
        match header.dtype {
            NpyType::F16 => {
                row.extend(bytes.as_chunks().0.iter().map(|&b| F16::from_le_bytes(b).to_f32()))
            }
            NpyType::F32 => row.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            NpyType::F64 => {
                row.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32))
            }
        }
        spool.push(path, &row)?;
    }
    spool.finish(path)
}

/// Refuses the first row that is not finite or all zero; `ids` name the rows.
pub(super) fn check_rows(path: &Path, matrix: &MappedMatrix, ids: &EntityIds) -> Result<()> {
    let first = (0..matrix.rows())
        .into_par_iter()
        .find_map_first(|row| fault(matrix.row(row)).map(|message| (row, message)));
    match first {
        None => Ok(()),
        Some((row, message)) => {
            Err(Error::row(path, row, format!("id {}: {message}", ids.display(row))))
        }
    }
}
