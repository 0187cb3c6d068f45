//! The file of entities that came after publication.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use das_core::Side;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};

use super::keys;
use crate::error::{Error, Refusal, Result};

/// Bytes as keys and values.
type Bytes = &'static [u8];
/// Version of the file's layout.
const FORMAT: &[u8] = b"1";
const META: TableDefinition<'static, &'static str, Bytes> = TableDefinition::new("meta");
/// The entry of `META` that lists the ID spaces that were served, a line each.
const SPACES: &str = "spaces";
/// Pages kept in memory.
const CACHE_BYTES: usize = 64 << 20;

/// The entities that came after publication, in one file (redb): content by id, and in every ID space
/// codes by id and ids by codes. Readers see the last durable transaction and never wait for the writer.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Database,
}

/// The entities of one side in one ID space, as of one moment.
pub struct Entries {
    path: PathBuf,
    codes: ReadOnlyTable<Bytes, Bytes>,
    sids: ReadOnlyTable<Bytes, ()>,
    digits: usize,
}

/// An ID that was given out, and to whom.
pub type Later = (Vec<u32>, String);

/// Tables of one side in one ID space, open for writing.
pub(super) struct Tables<'a> {
    pub(super) codes: redb::Table<'a, Bytes, Bytes>,
    pub(super) sids: redb::Table<'a, Bytes, ()>,
}

impl Store {
    /// Opens the store at `path`, or makes an empty one. One process at a time can.
    ///
    /// # Errors
    /// A file that is something else, damaged, of another version, or in use.
    pub fn open(path: &Path) -> Result<Store> {
        let fault = |message: String| Error::Store { path: path.to_path_buf(), message };
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE_BYTES).create(path);
        let database = database.map_err(|error| fault(error.to_string()))?;
        let store = Store { path: path.to_path_buf(), database };
        let transaction = store.write()?;
        {
            let mut meta = transaction.open_table(META).map_err(|error| store.fault(error))?;
            let found = meta.get("format").map_err(|error| store.fault(error))?;
            let found = found.map(|value| value.value().to_vec());
            match found {
                None => drop(meta.insert("format", FORMAT).map_err(|error| store.fault(error))?),
                Some(version) if version == FORMAT => {}
                Some(version) => {
                    let version = String::from_utf8_lossy(&version).into_owned();
                    return Err(fault(format!("store version {version}, this program reads 1")));
                }
            }
        }
        transaction.commit().map_err(|error| store.fault(error))?;
        Ok(store)
    }

    /// The entities of `side` in `space`, whose IDs have `digits` digits; none where there are none yet.
    pub fn entries(&self, space: &str, side: Side, digits: usize) -> Result<Option<Entries>> {
        let read = self.database.begin_read().map_err(|error| self.fault(error))?;
        let (codes, sids) = names(space, side);
        let codes = self.existing(&read, TableDefinition::<Bytes, Bytes>::new(&codes))?;
        let sids = self.existing(&read, TableDefinition::<Bytes, ()>::new(&sids))?;
        let path = self.path.clone();
        Ok(codes.zip(sids).map(|(codes, sids)| Entries { path, codes, sids, digits }))
    }

    fn existing<V: redb::Value + 'static>(
        &self,
        read: &ReadTransaction,
        table: TableDefinition<'_, Bytes, V>,
    ) -> Result<Option<ReadOnlyTable<Bytes, V>>> {
        match read.open_table(table) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// Content of every entity of `side` by id, as of now.
    pub(super) fn contents(&self, side: Side) -> Result<Option<ReadOnlyTable<Bytes, Bytes>>> {
        let read = self.database.begin_read().map_err(|error| self.fault(error))?;
        self.existing(&read, TableDefinition::new(&content_name(side)))
    }

    /// A transaction that is durable once it is committed.
    pub(super) fn write(&self) -> Result<WriteTransaction> {
        self.database.begin_write().map_err(|error| self.fault(error))
    }

    pub(super) fn tables<'a>(
        &self,
        transaction: &'a WriteTransaction,
        space: &str,
        side: Side,
    ) -> Result<Tables<'a>> {
        let (codes, sids) = names(space, side);
        let open = |error: TableError| self.fault(error);
        Ok(Tables {
            codes: transaction.open_table(TableDefinition::new(&codes)).map_err(open)?,
            sids: transaction.open_table(TableDefinition::new(&sids)).map_err(open)?,
        })
    }

    pub(super) fn content_table<'a>(
        &self,
        transaction: &'a WriteTransaction,
        side: Side,
    ) -> Result<redb::Table<'a, Bytes, Bytes>> {
        let name = content_name(side);
        transaction.open_table(TableDefinition::new(&name)).map_err(|error| self.fault(error))
    }

    /// ID spaces that were served, from the one served longest ago.
    pub(super) fn noted_spaces(&self, transaction: &WriteTransaction) -> Result<Vec<String>> {
        let meta = transaction.open_table(META).map_err(|error| self.fault(error))?;
        let found = meta.get(SPACES).map_err(|error| self.fault(error))?;
        let found = found.map(|value| String::from_utf8_lossy(value.value()).into_owned());
        Ok(found.iter().flat_map(|spaces| spaces.lines()).map(str::to_string).collect())
    }

    /// Replaces them.
    pub(super) fn note_spaces(
        &self,
        transaction: &WriteTransaction,
        spaces: &[String],
    ) -> Result<()> {
        let mut meta = transaction.open_table(META).map_err(|error| self.fault(error))?;
        let noted = meta.insert(SPACES, spaces.join("\n").as_bytes());
        noted.map(drop).map_err(|error| self.fault(error))
    }

    pub(super) fn fault(&self, error: impl std::fmt::Display) -> Error {
        Error::Store { path: self.path.clone(), message: error.to_string() }
    }
}

/// Names of the tables of a side in a space: codes by id, ids by codes.
fn names(space: &str, side: Side) -> (String, String) {
    (format!("codes/{space}/{side}"), format!("sids/{space}/{side}"))
}

/// The space of a table of one.
pub(super) fn space_of(table: &str) -> Option<&str> {
    let rest = table.strip_prefix("codes/").or_else(|| table.strip_prefix("sids/"))?;
    rest.rsplit_once('/').map(|(space, _)| space)
}

fn content_name(side: Side) -> String {
    format!("content/{side}")
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> Result<usize, Refusal> {
        use redb::ReadableTableMetadata as _;
        Ok(self.codes.len().map_err(|error| self.fault(error))? as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> Result<bool, Refusal> {
        Ok(self.len()? == 0)
    }

    /// The ID of an entity, by its id as the artifact spells it.
    pub fn codes_of(&self, id: &str) -> Result<Option<Vec<u32>>, Refusal> {
        let found = self.codes.get(id.as_bytes()).map_err(|error| self.fault(error))?;
        Ok(found.map(|codes| keys::codes_of(codes.value())))
    }

    /// IDs that begin with `prefix`, and whose they are, in ascending order: those after the entry `after`.
    pub fn with_prefix(
        &self,
        prefix: &[u32],
        after: Option<&Later>,
    ) -> Result<impl Iterator<Item = Result<Later, Refusal>> + '_, Refusal> {
        let found = match after {
            None => range(&self.sids, prefix),
            Some((codes, id)) => range_after(&self.sids, prefix, &keys::of_sid(codes, id)),
        };
        Ok(found.map_err(|error| self.fault(error))?.map(|entry| {
            let (key, _) = entry.map_err(|error| self.fault(error))?;
            self.entry(key.value())
        }))
    }

    /// All IDs and whose they are, in ascending order.
    pub fn all(&self) -> Result<impl Iterator<Item = Result<Later, Refusal>> + '_, Refusal> {
        self.with_prefix(&[], None)
    }

    fn entry(&self, key: &[u8]) -> Result<Later, Refusal> {
        let entry = keys::sid_of(key, self.digits);
        let (codes, id) = entry.ok_or_else(|| self.fault("a key of another length"))?;
        Ok((codes, id.to_string()))
    }

    /// How many IDs begin with `prefix`.
    pub fn count(&self, prefix: &[u32]) -> Result<usize, Refusal> {
        if prefix.is_empty() {
            return self.len();
        }
        Ok(range(&self.sids, prefix).map_err(|error| self.fault(error))?.count())
    }

    fn fault(&self, error: impl std::fmt::Display) -> Refusal {
        Refusal::internal(format!("{}: {error}", self.path.display()))
    }
}

/// The IDs that begin with `prefix`.
pub(super) fn range<'a>(
    sids: &'a impl ReadableTable<Bytes, ()>,
    prefix: &[u32],
) -> Result<redb::Range<'a, Bytes, ()>, redb::StorageError> {
    let start = keys::of_codes(prefix);
    match keys::after(&start) {
        Some(end) => sids.range(start.as_slice()..end.as_slice()),
        None => sids.range(start.as_slice()..),
    }
}

/// Of these, the ones after a key.
fn range_after<'a>(
    sids: &'a impl ReadableTable<Bytes, ()>,
    prefix: &[u32],
    key: &[u8],
) -> Result<redb::Range<'a, Bytes, ()>, redb::StorageError> {
    let end = keys::after(&keys::of_codes(prefix));
    // A key that lies behind the prefix has nothing after it there.
    let key = end.as_deref().map_or(key, |end| key.min(end));
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    match end {
        Bound::Excluded(end) if end == key => sids.range(end..end),
        end => sids.range::<&[u8]>((Bound::Excluded(key), end)),
    }
}
