//! A data-set folder: the log, the items, the users and their embeddings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use das_core::{EntityIds, Side, files};

use crate::embeddings::{self, EmbeddingMatrix, ViewVectors};
use crate::interactions::Interactions;
use crate::table::EntityTable;
use crate::{Error, Result};

/// The log of a data-set folder.
pub const INTERACTIONS_FILE: &str = "interactions.parquet";

/// The table of a side in a data-set folder: `items.parquet` or `users.parquet`.
pub fn table_file(side: Side) -> &'static str {
    match side {
        Side::User => "users.parquet",
        Side::Item => "items.parquet",
    }
}

/// An opened data set.
///
/// Items stand in the order of `items.parquet`. Users stand in the order of `users.parquet`,
/// those known from the log alone follow by ascending id; so no row number of an entity depends
/// on the order of the log.
#[derive(Clone, Debug)]
pub struct DataSet {
    folder: PathBuf,
    users: EntityTable,
    items: EntityTable,
    interactions: Interactions,
}

impl DataSet {
    /// Reads the folder's tables and checks them; embeddings are opened on request.
    pub fn open(folder: &Path) -> Result<DataSet> {
        if !folder.is_dir() {
            let message = "not a folder, expected one with interactions.parquet and items.parquet";
            return Err(Error::file(folder, message));
        }
        let items = EntityTable::read_parquet(&folder.join(table_file(Side::Item)), Side::Item)?;
        let users_path = folder.join(table_file(Side::User));
        let described = if users_path.exists() {
            Some(EntityTable::read_parquet(&users_path, Side::User)?)
        } else {
            None
        };
        let (interactions, user_ids) = Interactions::read(
            &folder.join(INTERACTIONS_FILE),
            items.ids(),
            described.as_ref().map(EntityTable::ids),
        )?;
        let users = match described {
            Some(users) => users.with_ids(user_ids),
            None => EntityTable::undescribed(Side::User, &users_path, user_ids),
        };
        Ok(DataSet { folder: folder.to_path_buf(), users, items, interactions })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The click log.
    pub fn interactions(&self) -> &Interactions {
        &self.interactions
    }

    /// The items.
    pub fn items(&self) -> &EntityTable {
        &self.items
    }

    /// The users: those of `users.parquet`, then those known from the log alone.
    pub fn users(&self) -> &EntityTable {
        &self.users
    }

    /// The table of a side.
    pub fn table(&self, side: Side) -> &EntityTable {
        match side {
            Side::User => &self.users,
            Side::Item => &self.items,
        }
    }

    /// The id of each item.
    pub fn item_ids(&self) -> &EntityIds {
        self.items.ids()
    }

    /// The id of each user.
    pub fn user_ids(&self) -> &EntityIds {
        self.users.ids()
    }

    /// The folder's own embeddings of a side, if it has them: one row an entity, in entity order,
    /// memory-mapped and checked (finite, not all zero, one width, no entity missing).
    pub fn embeddings(&self, side: Side) -> Result<Option<EmbeddingMatrix>> {
        embeddings::open(&self.folder, self.table(side))
    }

    /// Ready-made vectors of one view of a side, from a file of the folder; see
    /// [`ViewVectors::open`].
    pub fn view(&self, side: Side, file: &str, name: &str) -> Result<ViewVectors> {
        ViewVectors::open(&self.folder.join(file), name, self.table(side))
    }

    /// SHA-256 of each data file, by file name.
    pub fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        let mut names = vec![INTERACTIONS_FILE.to_owned()];
        names.extend(Side::BOTH.map(|side| table_file(side).to_owned()));
        names.extend(Side::BOTH.into_iter().flat_map(embeddings::file_names));
        let mut hashes = BTreeMap::new();
        for name in names {
            let path = self.folder.join(&name);
            if path.exists() {
                hashes.insert(name, files::sha256_file(&path)?);
            }
        }
        Ok(hashes)
    }
}
