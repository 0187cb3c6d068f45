//! What expensive models have answered, kept on disk so that it is asked for once.

use std::fmt;
use std::path::{Path, PathBuf};

use das_core::files;
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Addresses set aside for the file, 256 GiB; it takes up only what is written.
const MAP_BYTES: usize = 1 << 38;

/// What an answer is kept under: a hash of the model, how it is used, and the text.
pub(crate) type Key = [u8; 32];

/// Answers by key, in an LMDB file. A batch of answers is one durable transaction, so a process
/// that is killed loses at most the batch in the making. Any number of processes may use a folder at once; it
/// must be on a local disk.
#[derive(Clone)]
pub struct Cache {
    env: Env,
    answers: Database<Bytes, Bytes>,
    folder: PathBuf,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({})", self.folder.display())
    }
}

impl Cache {
    /// Opens the cache in `folder`, which is created where missing.
    ///
    /// # Errors
    /// A folder that cannot be written, or files in it that are no cache.
    pub fn open(folder: &Path) -> Result<Cache> {
        files::create_folder(folder)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_dbs(1);
        // SAFETY: the file is mapped. All who open it go through LMDB, whose lock file arbitrates
        // between them, and nobody else has business in this folder.
        let env = unsafe { options.open(folder) }.map_err(fault(folder))?;
        let mut transaction = env.write_txn().map_err(fault(folder))?;
        let answers =
            env.create_database(&mut transaction, Some("answers")).map_err(fault(folder))?;
        transaction.commit().map_err(fault(folder))?;
        Ok(Cache { env, answers, folder: folder.to_path_buf() })
    }

    /// Calls `found` with the index of each key that has an answer, and the answer.
    ///
    /// # Errors
    /// A cache that cannot be read, and what `found` returns.
    pub(crate) fn find(
        &self,
        keys: &[Key],
        mut found: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let transaction = self.env.read_txn().map_err(fault(&self.folder))?;
        for (at, key) in keys.iter().enumerate() {
            let answer = self.answers.get(&transaction, key).map_err(fault(&self.folder))?;
            if let Some(answer) = answer {
                found(at, answer)?;
            }
        }
        Ok(())
    }

    /// Keeps some answers, all of them or, where it fails, none.
    ///
    /// # Errors
    /// A disk that is full or cannot be written.
    pub(crate) fn put<'a>(
        &self,
        answers: impl IntoIterator<Item = (&'a Key, Vec<u8>)>,
    ) -> Result<()> {
        let mut transaction = self.env.write_txn().map_err(fault(&self.folder))?;
        for (key, answer) in answers {
            self.answers.put(&mut transaction, key, &answer).map_err(fault(&self.folder))?;
        }
        transaction.commit().map_err(fault(&self.folder))
    }
}

/// The key of some parts, whose boundaries count.
pub(crate) fn key(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn fault(folder: &Path) -> impl FnOnce(heed::Error) -> Error {
    move |source| Error::Cache { folder: folder.to_path_buf(), message: source.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_in_another_opening() {
        let folder = tempfile::tempdir().unwrap();
        let keys = [key(&["m", "a"]), key(&["m", "b"]), key(&["m", "c"])];
        let cache = Cache::open(folder.path()).unwrap();
        cache.put([(&keys[0], b"first".to_vec()), (&keys[2], vec![])]).unwrap();
        cache.put([(&keys[0], b"second".to_vec())]).unwrap();
        drop(cache);
        let mut found = Vec::new();
        let cache = Cache::open(folder.path()).unwrap();
        cache
            .find(&keys, |at, answer| {
                found.push((at, answer.to_vec()));
                Ok(())
            })
            .unwrap();
        assert_eq!(found, [(0, b"second".to_vec()), (2, vec![])]);
    }

    #[test]
    fn boundaries_of_parts_count() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a", ""]), key(&["a"]));
    }

    #[test]
    fn a_file_that_is_no_cache_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data.mdb"), vec![7; 8192]).unwrap();
        let message = Cache::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
    }
}
