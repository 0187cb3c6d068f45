//! Checkpoints: where a training stands, on disk, verified before it is believed.
//!
//! A file is a magic number, the SHA-256 of the rest, and a body that its writer understands. It
//! is written beside its final name, synced and renamed; a torn or altered one is detected and the
//! one before it is used.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Error, Result, files};

const MAGIC: &[u8; 8] = b"DASCKPT1";
const DIGEST: usize = 32;
/// The newest and the one to fall back on.
const KEPT: usize = 2;
const EXTENSION: &str = "ckpt";
const BEST: &str = "best.ckpt";

/// A folder of checkpoints named by their step.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
}

/// The step and body of the newest intact checkpoint, if there is one, with a message for each
/// newer one that was passed over.
pub type Newest = (Option<(u64, Vec<u8>)>, Vec<String>);

impl CheckpointStore {
    /// Uses `folder`, creating it where it does not exist.
    pub fn open(folder: &Path) -> Result<CheckpointStore> {
        files::create_folder(folder)?;
        Ok(CheckpointStore { folder: folder.to_path_buf() })
    }

    /// A store of its own in a folder inside this one, for a stage that is trained beforehand.
    pub fn stage(&self, name: &str) -> Result<CheckpointStore> {
        CheckpointStore::open(&self.folder.join(name))
    }

    /// Writes the checkpoint of `step`, whose body `body` writes, and removes all but the newest
    /// few.
    pub fn save(
        &self,
        step: u64,
        body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        write(&self.path(step), body)?;
        for (_, path) in self.list()?.into_iter().rev().skip(KEPT) {
            std::fs::remove_file(&path).map_err(Error::io(&path, "cannot remove"))?;
        }
        Ok(())
    }

    /// Writes the best model so far.
    pub fn save_best(&self, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        write(&self.folder.join(BEST), body)
    }

    /// Reads the best model so far.
    pub fn load_best(&self) -> Result<Vec<u8>> {
        read(&self.folder.join(BEST))
    }

    /// Reads the newest intact checkpoint.
    ///
    /// # Errors
    /// If there are checkpoints and none is intact.
    pub fn load_newest(&self) -> Result<Newest> {
        let mut passed_over = Vec::new();
        for (step, path) in self.list()?.into_iter().rev() {
            match read(&path) {
                Ok(body) => return Ok((Some((step, body)), passed_over)),
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        if passed_over.is_empty() {
            return Ok((None, passed_over));
        }
        Err(Error::Invalid(format!("no intact checkpoint: {}", passed_over.join("; "))))
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:010}.{EXTENSION}"))
    }

    /// Checkpoints by ascending step.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let unreadable = || Error::io(&self.folder, "cannot list");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(unreadable())? {
            let path = entry.map_err(unreadable())?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let step = name
                .strip_prefix("step-")
                .and_then(|rest| rest.strip_suffix(&format!(".{EXTENSION}")))
                .and_then(|digits| digits.parse().ok());
            if let Some(step) = step {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn write(path: &Path, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    files::write_atomic(path, |out| {
        out.write_all(MAGIC)?;
        // The digest is known when the body is written.
        out.write_all(&[0; DIGEST])?;
        let mut hashed = Hashed { out: &mut *out, hash: Sha256::new() };
        body(&mut hashed)?;
        let digest = hashed.hash.finalize();
        out.seek(SeekFrom::Start(MAGIC.len() as u64))?;
        out.write_all(&digest)
    })
}

/// Hashes what passes through.
struct Hashed<'a, W> {
    out: &'a mut W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = files::read(path)?;
    let Some((head, body)) = bytes.split_at_checked(MAGIC.len() + DIGEST) else {
        return Err(Error::format(path, "shorter than a checkpoint's header"));
    };
    if &head[..MAGIC.len()] != MAGIC {
        return Err(Error::format(path, "not a checkpoint of this version"));
    }
    if Sha256::digest(body)[..] != head[MAGIC.len()..] {
        return Err(Error::format(path, "checksum mismatch, the file is torn or altered"));
    }
    bytes.drain(..MAGIC.len() + DIGEST);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(step: u64) -> Vec<u8> {
        format!("the state at step {step}").into_bytes()
    }

    /// In pieces, as large ones come.
    fn write_body(step: u64) -> impl FnOnce(&mut dyn Write) -> io::Result<()> {
        move |out| body(step).chunks(3).try_for_each(|piece| out.write_all(piece))
    }

    fn newest(store: &CheckpointStore) -> (Option<(u64, Vec<u8>)>, usize) {
        let (checkpoint, passed_over) = store.load_newest().unwrap();
        (checkpoint, passed_over.len())
    }

    #[test]
    fn keeps_two_and_falls_back_on_the_older_one_whatever_breaks() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        assert_eq!(newest(&store), (None, 0));
        (1..=3).for_each(|step| store.save(step, write_body(step)).unwrap());
        assert!(!store.path(1).exists());
        assert_eq!(newest(&store), (Some((3, body(3))), 0));

        let intact = std::fs::read(store.path(3)).unwrap();
        for cut in [0, 7, 20, 45, intact.len() - 1] {
            std::fs::write(store.path(3), &intact[..cut]).unwrap();
            assert_eq!(newest(&store), (Some((2, body(2))), 1));
        }
        for at in 0..intact.len() {
            let mut flipped = intact.clone();
            flipped[at] ^= 1;
            std::fs::write(store.path(3), &flipped).unwrap();
            assert_eq!(newest(&store), (Some((2, body(2))), 1), "byte {at}");
        }
        std::fs::write(store.path(2), b"").unwrap();
        let error = store.load_newest().unwrap_err().to_string();
        assert!(error.contains("no intact checkpoint"), "{error}");
    }

    #[test]
    fn the_best_and_stages_stand_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        let stage = store.stage("first").unwrap();
        stage.save(7, write_body(7)).unwrap();
        store.save_best(write_body(1)).unwrap();
        assert_eq!(newest(&store), (None, 0));
        assert_eq!(newest(&stage), (Some((7, body(7))), 0));
        assert_eq!(store.load_best().unwrap(), body(1));
        assert!(stage.load_best().is_err());
    }
}
