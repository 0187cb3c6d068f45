//! Data sets: folders of Parquet with a click log, items and users; importers that make them;
//! splits; and what a tokenizer may learn from: the training clicks and the texts.
//!
//! The path of the data: an importer ([`import`]) or the generator ([`synthetic`]) writes a
//! folder through [`DataSetWriter`]; [`DataSet::open`] reads and checks it; [`Split`] deals its
//! rows out; [`TrainingClicks`] and [`texts`] see the training part alone.
//!
//! ```no_run
//! use das_data::{CoClickConfig, DataSet, Part, Split, SplitKind, TrainingClicks, texts};
//!
//! # fn main() -> das_data::Result<()> {
//! let data = DataSet::open("data/beauty".as_ref())?;
//! let split = Split::new(&data, SplitKind::LeaveLastOut)?;
//! let clicks = TrainingClicks::new(&data, &split, CoClickConfig::default())?;
//! let held_out = clicks.held_out(&data, &split, Part::Validation);
//! let item_texts = texts::item_texts(data.items(), None)?;
//! # Ok(())
//! # }
//! ```

mod cast;
mod clicks;
mod csr;
mod dataset;
pub mod descriptions;
mod embeddings;
mod error;
mod id_column;
pub mod import;
mod interactions;
mod parquet_file;
mod source;
mod split;
pub mod synthetic;
mod table;
pub mod tables;
mod template;
pub mod texts;
mod tuning_set;
mod write;

pub use clicks::{CoClickConfig, TrainingClicks};
pub use dataset::{DataSet, INTERACTIONS_FILE, table_file};
pub use embeddings::{EmbeddingMatrix, ViewVectors};
pub use error::{Error, Result};
pub use interactions::{Interactions, LogColumns, OrderKind};
pub use source::{Format, Source};
pub use split::{Part, Split, SplitKind};
pub use table::{ColumnKind, EntityTable, TextColumn};
pub use template::Template;
pub use tuning_set::{TuningSet, write_tuning_set};
pub use write::DataSetWriter;
