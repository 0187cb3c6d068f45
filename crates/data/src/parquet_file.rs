//! Reading and writing Parquet tables, with errors that name file, column and row.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;

use crate::{Error, Result, cast};

const BATCH_ROWS: usize = 1 << 16;

/// An opened Parquet file, its schema read and nothing else.
pub(crate) struct ParquetFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    /// Opens `path` and reads its footer.
    pub(crate) fn open(path: &Path) -> Result<ParquetFile> {
        let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
        if file.metadata().map_err(Error::io(path, "cannot read"))?.len() == 0 {
            return Err(Error::file(path, "the file is empty, expected a Parquet table"));
        }
        // The embedded Arrow schema only chooses between encodings of the same values
        // (dictionaries, views, 64-bit offsets); without it there are fewer types to meet.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guard(path, || ArrowReaderMetadata::load(&file, options))?
            .map_err(Error::parquet(path))?;
        check_regions(path, &file, metadata.metadata())?;
        let opened = ParquetFile { path: path.to_path_buf(), file, metadata };
        let fields = opened.schema().fields();
        for (at, field) in fields.iter().enumerate() {
            if fields[..at].iter().any(|other| other.name() == field.name()) {
                let message = format!("the column `{}` occurs twice", field.name());
                return Err(Error::file(path, message));
            }
        }
        Ok(opened)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn schema(&self) -> &Schema {
        self.metadata.schema()
    }

    /// The column `name`, if the file has it.
    pub(crate) fn find(&self, name: &str) -> Option<&Field> {
        self.schema().field_with_name(name).ok()
    }

    /// The column `name`, which must be there.
    pub(crate) fn require(&self, name: &str, expected: &'static str) -> Result<&Field> {
        self.find(name).ok_or_else(|| Error::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            expected,
            present: self
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// The error for a column of a type that cannot be used.
    pub(crate) fn wrong_type(&self, field: &Field, expected: &'static str) -> Error {
        let present = self
            .schema()
            .fields()
            .iter()
            .map(|f| format!("{} ({})", f.name(), type_name(f.data_type())));
        Error::ColumnType {
            path: self.path.clone(),
            column: field.name().clone(),
            expected,
            found: type_name(field.data_type()),
            present: present.collect::<Vec<_>>().join(", "),
        }
    }

    /// Streams the named columns, which must exist; a batch comes with the number of its first
    /// row.
    pub(crate) fn batches(
        &self,
        columns: &[&str],
    ) -> Result<impl Iterator<Item = Result<(usize, RecordBatch)>> + use<'_>> {
        self.batches_of(columns, BATCH_ROWS)
    }

    /// [`ParquetFile::batches`] with the given number of rows each.
    pub(crate) fn batches_of(
        &self,
        columns: &[&str],
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<(usize, RecordBatch)>> + use<'_>> {
        let roots = columns.iter().filter_map(|&name| self.schema().index_of(name).ok());
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let file = self.file.try_clone().map_err(Error::io(&self.path, "cannot read"))?;
        let mut reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(mask)
                .with_batch_size(batch_rows)
                .build()
                .map_err(Error::parquet(&self.path))?;
        let mut first_row = 0;
        Ok(std::iter::from_fn(move || {
            let batch = match guard(&self.path, || reader.next()) {
                Ok(batch) => batch?.map_err(|error| Error::parquet(&self.path)(error.into())),
                Err(error) => Err(error),
            };
            Some(batch.map(|batch| {
                let start = first_row;
                first_row += batch.num_rows();
                (start, batch)
            }))
        }))
    }

    /// Converts a column by one of [`crate::cast`]; a value that does not fit is an error.
    pub(crate) fn cast<A>(
        &self,
        name: &str,
        array: &dyn Array,
        to: impl FnOnce(&dyn Array) -> Result<A, String>,
    ) -> Result<A> {
        to(array).map_err(|error| Error::file(&self.path, format!("column `{name}`: {error}")))
    }

    /// The column `name` of `batch` as 64-bit integers, without nulls.
    pub(crate) fn int64(
        &self,
        name: &str,
        start: usize,
        batch: &RecordBatch,
    ) -> Result<Int64Array> {
        let array = self.present(name, start, batch)?;
        self.cast(name, &array, cast::to_int64)
    }

    /// The column `name` of `batch` as 64-bit floats, without nulls.
    pub(crate) fn float64(
        &self,
        name: &str,
        start: usize,
        batch: &RecordBatch,
    ) -> Result<Float64Array> {
        let array = self.present(name, start, batch)?;
        self.cast(name, &array, cast::to_float64)
    }

    /// The column `name` of `batch` as strings, without nulls.
    pub(crate) fn strings(
        &self,
        name: &str,
        start: usize,
        batch: &RecordBatch,
    ) -> Result<StringArray> {
        let array = self.present(name, start, batch)?;
        self.cast(name, &array, cast::to_strings)
    }

    /// The column `name`, refused at the first null.
    fn present(&self, name: &str, start: usize, batch: &RecordBatch) -> Result<ArrayRef> {
        let array = batch
            .column_by_name(name)
            .ok_or_else(|| Error::file(&self.path, format!("the column `{name}` was not read")))?;
        if let Some(at) =
            (array.null_count() > 0).then(|| (0..array.len()).find(|&i| array.is_null(i)))
        {
            let row = start + at.unwrap_or_default();
            return Err(Error::row(&self.path, row, format!("column `{name}` is null")));
        }
        Ok(array.clone())
    }
}

/// Runs the decoder, which asserts in places what a corrupt file breaks; such a panic becomes an
/// error. The caller drops the decoder after it.
fn guard<T>(path: &Path, decode: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode))
        .map_err(|_| Error::file(path, "corrupt: the Parquet decoder gave up on it"))
}

/// Refuses a footer whose columns lie outside of the file, which the decoder takes on trust.
fn check_regions(path: &Path, file: &File, metadata: &ParquetMetaData) -> Result<()> {
    let length = file.metadata().map_err(Error::io(path, "cannot read"))?.len();
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = start.checked_add(column.compressed_size());
        let inside = end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= length);
        if start < 0 || column.compressed_size() < 0 || !inside {
            let message = format!("corrupt: `{}` lies outside of the file", column.column_path());
            return Err(Error::file(path, message));
        }
    }
    Ok(())
}

/// A type in words that a user of any tool knows.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Float16 => "float16".to_owned(),
        DataType::Float32 => "float32".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::List(of) | DataType::LargeList(of) => {
            format!("list<{}>", type_name(of.data_type()))
        }
        DataType::Struct(_) => "struct".to_owned(),
        other => format!("{other}").to_lowercase(),
    }
}

/// Writes `batches` of one schema to `path`, zstd-compressed, and makes the file durable.
pub(crate) fn write(
    path: &Path,
    schema: Schema,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<()> {
    let file = File::create_new(path).map_err(Error::io(path, "cannot create"))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let options =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(file, schema.into(), options)
        .map_err(Error::parquet(path))?;
    for batch in batches {
        writer.write(&batch?).map_err(Error::parquet(path))?;
    }
    let file = writer.into_inner().map_err(Error::parquet(path))?;
    file.sync_all().map_err(Error::io(path, "cannot write"))
}
