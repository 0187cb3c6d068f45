//! Writing a data-set folder, all of it or nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use das_core::{EntityIds, Side, files};
use tempfile::TempDir;

use crate::dataset::{INTERACTIONS_FILE, table_file};
use crate::interactions::{LogColumns, OrderKind};
use crate::parquet_file;
use crate::table::{EntityTable, id_array};
use crate::{Error, Result};

/// Rows of the log converted at a time.
const LOG_BATCH: usize = 1 << 18;

/// Builds a data-set folder beside its place and moves it there when it is complete.
///
/// Dropped without [`DataSetWriter::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct DataSetWriter {
    out: PathBuf,
    staging: TempDir,
}

impl DataSetWriter {
    /// Starts a folder that will stand at `out`, which must not exist or be empty.
    pub fn create(out: &Path) -> Result<DataSetWriter> {
        require_free(out)?;
        let parent = parent_of(out);
        files::create_folder(parent)?;
        let staging = tempfile::Builder::new()
            .prefix(".das-data-")
            .tempdir_in(parent)
            .map_err(Error::io(out, "cannot create"))?;
        Ok(DataSetWriter { out: out.to_path_buf(), staging })
    }

    /// Writes `items.parquet` or `users.parquet`.
    pub fn write_table(&self, table: &EntityTable) -> Result<()> {
        self.write_batch(table_file(table.side()), table.to_batch()?)
    }

    /// Writes `interactions.parquet`; users and items of `log` are rows of the ids given.
    pub fn write_interactions(
        &self,
        log: &LogColumns,
        user_ids: &EntityIds,
        item_ids: &EntityIds,
    ) -> Result<()> {
        let schema = log_schema(log, user_ids, item_ids);
        let path = self.staging.path().join(INTERACTIONS_FILE);
        let batches = (0..log.users.len()).step_by(LOG_BATCH).map(|start| {
            let end = (start + LOG_BATCH).min(log.users.len());
            let arrays = log_arrays(log, user_ids, item_ids, start..end);
            RecordBatch::try_new(Arc::new(schema.clone()), arrays)
                .map_err(|error| Error::file(&self.out.join(INTERACTIONS_FILE), error.to_string()))
        });
        self.rename_errors(parquet_file::write(&path, schema.clone(), batches))
    }

    /// Writes one more table into the folder.
    pub(crate) fn write_batch(&self, name: &str, batch: RecordBatch) -> Result<()> {
        let path = self.staging.path().join(name);
        let schema = batch.schema().as_ref().clone();
        self.rename_errors(parquet_file::write(&path, schema, std::iter::once(Ok(batch))))
    }

    /// Copies a file into the folder, under its own name.
    pub(crate) fn copy_file(&self, source: &Path) -> Result<()> {
        let name = source.file_name().expect("a file has a name");
        let staged = self.staging.path().join(name);
        fs::copy(source, staged).map(drop).map_err(Error::io(source, "cannot copy"))
    }

    /// Makes the folder durable and moves it into place.
    pub fn publish(self) -> Result<()> {
        files::sync_folder(self.staging.path())?;
        make_accessible(self.staging.path())
            .map_err(Error::io(&self.out, "cannot set permissions"))?;
        require_free(&self.out)?;
        fs::rename(self.staging.path(), &self.out)
            .map_err(Error::io(&self.out, "cannot rename into place"))?;
        // What the guard would remove has moved away.
        let _ = self.staging.keep();
        Ok(files::sync_folder(parent_of(&self.out))?)
    }

    /// Errors about a staged file speak of the file to be.
    fn rename_errors<T>(&self, result: Result<T>) -> Result<T> {
        let staged = |path: &Path| {
            path.strip_prefix(self.staging.path())
                .map_or(path.to_path_buf(), |rest| self.out.join(rest))
        };
        result.map_err(|error| match error {
            Error::Parquet { path, source } => Error::Parquet { path: staged(&path), source },
            Error::Core(das_core::Error::Io { path, action, source }) => {
                Error::Core(das_core::Error::Io { path: staged(&path), action, source })
            }
            other => other,
        })
    }
}

fn require_free(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    if !out.is_dir() {
        return Err(Error::file(out, "a file is in the way, expected no folder or an empty one"));
    }
    match fs::read_dir(out).map_err(Error::io(out, "cannot read"))?.next() {
        None => Ok(()),
        Some(_) => Err(Error::file(out, "the folder is not empty, expected none or an empty one")),
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary folders are private; published ones are not.
#[cfg(unix)]
fn make_accessible(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_accessible(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

fn log_schema(log: &LogColumns, user_ids: &EntityIds, item_ids: &EntityIds) -> Schema {
    let id_type = |ids: &EntityIds| match ids {
        EntityIds::Int(_) => DataType::Int64,
        EntityIds::Text(_) => DataType::LargeUtf8,
    };
    let order = match log.order_kind {
        OrderKind::Timestamp => "timestamp",
        OrderKind::Position => "position",
    };
    let mut fields = vec![
        Field::new(Side::User.id_column(), id_type(user_ids), false),
        Field::new(Side::Item.id_column(), id_type(item_ids), false),
        Field::new(order, DataType::Int64, false),
    ];
    if log.ratings.is_some() {
        fields.push(Field::new("rating", DataType::Float32, false));
    }
    if log.labels.is_some() {
        fields.push(Field::new("label", DataType::Boolean, false));
    }
    if log.weights.is_some() {
        fields.push(Field::new("weight", DataType::Float32, false));
    }
    Schema::new(fields)
}

fn log_arrays(
    log: &LogColumns,
    user_ids: &EntityIds,
    item_ids: &EntityIds,
    rows: std::ops::Range<usize>,
) -> Vec<ArrayRef> {
    let mut arrays: Vec<ArrayRef> = vec![
        id_array(user_ids, &log.users[rows.clone()]),
        id_array(item_ids, &log.items[rows.clone()]),
        Arc::new(Int64Array::from(log.order[rows.clone()].to_vec())),
    ];
    if let Some(ratings) = &log.ratings {
        arrays.push(Arc::new(Float32Array::from(ratings[rows.clone()].to_vec())));
    }
    if let Some(labels) = &log.labels {
        arrays.push(Arc::new(BooleanArray::from(labels[rows.clone()].to_vec())));
    }
    if let Some(weights) = &log.weights {
        arrays.push(Arc::new(Float32Array::from(weights[rows].to_vec())));
    }
    arrays
}
