//! A data set without the test rows of a split.

use std::fs;
use std::path::Path;

use crate::dataset::{DataSet, INTERACTIONS_FILE};
use crate::split::{Part, Split};
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// How many rows a tuning set keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuningSet {
    /// Rows of the new log: training and validation of the split.
    pub kept: usize,
    /// Its test rows, which are left out.
    pub dropped: usize,
}

/// Writes `data` without the test rows of `split` to the folder `out`, so that settings can be
/// tuned without a look at a test click: split again by the same rule, what was validation is
/// test there. Every other file of the folder is copied as it is.
///
/// # Errors
/// If `out` is there and not empty, if no row would be left, or a file cannot be written; nothing
/// is left behind then.
pub fn write_tuning_set(data: &DataSet, split: &Split, out: &Path) -> Result<TuningSet> {
    let log = data.interactions();
    let rows = 0..log.len();
    let kept: Vec<usize> = rows.filter(|&row| split.part(row) != Part::Test).collect();
    if kept.is_empty() {
        let message = format!("the {} split has test rows alone", split.kind());
        return Err(Error::file(&data.folder().join(INTERACTIONS_FILE), message));
    }
    let writer = DataSetWriter::create(out)?;
    writer.write_interactions(&log.columns_of(&kept), data.user_ids(), data.item_ids())?;
    let folder = fs::read_dir(data.folder()).map_err(Error::io(data.folder(), "cannot read"))?;
    for entry in folder {
        let path = entry.map_err(Error::io(data.folder(), "cannot read"))?.path();
        if path.is_file() && path.file_name().is_some_and(|name| name != INTERACTIONS_FILE) {
            writer.copy_file(&path)?;
        }
    }
    writer.publish()?;
    Ok(TuningSet { kept: kept.len(), dropped: log.len() - kept.len() })
}
