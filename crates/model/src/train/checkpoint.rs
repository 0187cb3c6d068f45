//! Checkpoints: where training stands, on disk, verified before it is believed.
//!
//! A file is a magic number, the SHA-256 of the rest, and a safetensors body with the parameters,
//! the optimizer's moments and the trainer's position. It is written beside its final name,
//! synced and renamed; a torn or altered one is detected and the one before it is used.

use std::path::{Path, PathBuf};

use das_core::files;
use das_nn::safetensors_io::{self, NamedTensor};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"DASCKPT1";
const DIGEST: usize = 32;
/// The newest and the one to fall back on.
const KEPT: usize = 2;
const EXTENSION: &str = "ckpt";
const BEST: &str = "best.ckpt";

/// The content of a checkpoint: tensors and a JSON object of everything else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) tensors: Vec<NamedTensor>,
    pub(crate) state: String,
}

/// A folder of checkpoints named by their step.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
}

impl CheckpointStore {
    /// Uses `folder`, creating it where it does not exist.
    pub fn open(folder: &Path) -> Result<CheckpointStore> {
        files::create_folder(folder)?;
        Ok(CheckpointStore { folder: folder.to_path_buf() })
    }

    /// Writes the checkpoint of `step` and removes all but the newest few.
    pub(crate) fn save(&self, step: u64, snapshot: &Snapshot) -> Result<()> {
        write(&self.path(step), snapshot)?;
        for (_, path) in self.list()?.into_iter().rev().skip(KEPT) {
            std::fs::remove_file(&path).map_err(das_core::Error::io(&path, "cannot remove"))?;
        }
        Ok(())
    }

    /// Writes the best model so far.
    pub(crate) fn save_best(&self, snapshot: &Snapshot) -> Result<()> {
        write(&self.folder.join(BEST), snapshot)
    }

    /// Reads the best model so far.
    pub(crate) fn load_best(&self) -> Result<Snapshot> {
        read(&self.folder.join(BEST))
    }

    /// The newest intact checkpoint, with a message for each newer one that was passed over.
    /// No checkpoint at all is `None`; none intact is an error.
    pub(crate) fn load_newest(&self) -> Result<(Option<Snapshot>, Vec<String>)> {
        let mut passed_over = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            match read(&path) {
                Ok(snapshot) => return Ok((Some(snapshot), passed_over)),
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        if passed_over.is_empty() {
            return Ok((None, passed_over));
        }
        Err(Error::Checkpoint(format!("no intact checkpoint: {}", passed_over.join("; "))))
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:010}.{EXTENSION}"))
    }

    /// Checkpoints by ascending step.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let unreadable = || das_core::Error::io(&self.folder, "cannot list");
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

fn write(path: &Path, snapshot: &Snapshot) -> Result<()> {
    let metadata = [("state".to_string(), snapshot.state.clone())].into();
    let body = safetensors_io::to_bytes(&snapshot.tensors, &metadata)?;
    let digest = Sha256::digest(&body);
    files::write_atomic(path, |out| {
        use std::io::Write;
        out.write_all(MAGIC)?;
        out.write_all(&digest)?;
        out.write_all(&body)
    })?;
    Ok(())
}

fn read(path: &Path) -> Result<Snapshot> {
    let broken = |what: &str| Error::Checkpoint(format!("{}: {what}", path.display()));
    let bytes = files::read(path)?;
    let Some((head, body)) = bytes.split_at_checked(MAGIC.len() + DIGEST) else {
        return Err(broken("shorter than a checkpoint's header"));
    };
    if &head[..MAGIC.len()] != MAGIC {
        return Err(broken("not a checkpoint of this version"));
    }
    if Sha256::digest(body)[..] != head[MAGIC.len()..] {
        return Err(broken("checksum mismatch, the file is torn or altered"));
    }
    let file = safetensors_io::from_bytes(body)?;
    let state = file.metadata.get("state").cloned().unwrap_or_default();
    Ok(Snapshot { tensors: file.tensors, state })
}

#[cfg(test)]
mod tests {
    use das_nn::safetensors_io::TensorData;

    use super::*;

    fn snapshot(value: f32) -> Snapshot {
        let data = TensorData::F32(vec![value, -value]);
        let tensors = vec![NamedTensor { name: "a".to_string(), shape: vec![2, 1], data }];
        Snapshot { tensors, state: format!("{{\"value\":{value}}}") }
    }

    #[test]
    fn keeps_two_and_falls_back_on_the_older_one_whatever_breaks() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        assert_eq!(store.load_newest().unwrap(), (None, vec![]));
        for step in 1..=3 {
            store.save(step, &snapshot(step as f32)).unwrap();
        }
        assert!(!store.path(1).exists());
        assert_eq!(store.load_newest().unwrap().0.unwrap(), snapshot(3.0));

        let intact = std::fs::read(store.path(3)).unwrap();
        for cut in [0, 7, 20, 45, intact.len() - 1] {
            std::fs::write(store.path(3), &intact[..cut]).unwrap();
            let (found, passed_over) = store.load_newest().unwrap();
            assert_eq!(found.unwrap(), snapshot(2.0));
            assert_eq!(passed_over.len(), 1);
        }
        for at in 0..intact.len() {
            let mut flipped = intact.clone();
            flipped[at] ^= 1;
            std::fs::write(store.path(3), &flipped).unwrap();
            assert_eq!(store.load_newest().unwrap().0.unwrap(), snapshot(2.0), "byte {at}");
        }
        std::fs::write(store.path(2), b"").unwrap();
        let error = store.load_newest().unwrap_err().to_string();
        assert!(error.contains("no intact checkpoint"), "{error}");
    }
}
