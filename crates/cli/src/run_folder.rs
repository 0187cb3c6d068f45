//! Where a run keeps its files.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use das_core::{Side, files};

/// The settings as resolved; where this file is, there is a run.
const CONFIG: &str = "config.toml";
const LOCK: &str = ".lock";

/// The folder of one training run, for one process at a time.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Locked for as long as this process trains; the system frees it however that ends.
    _lock: File,
}

impl RunFolder {
    /// A folder for a new run, or, with `resume`, the folder of an interrupted one. A folder that
    /// holds anything else is refused, and so is one in which another process is training.
    /// Hidden files do not count: a run killed before it wrote its settings leaves some.
    pub fn prepare(root: &Path, resume: bool) -> anyhow::Result<RunFolder> {
        let occupied = holds_anything(root)?;
        let path = root.display();
        if occupied && !root.join(CONFIG).exists() {
            bail!("{path}: the folder is not empty and holds no run; choose another");
        }
        if occupied && !resume {
            bail!(
                "{path}: the folder holds another run; add --resume to continue it or choose another"
            );
        }
        if !occupied && resume {
            bail!("{path}: there is no run to resume; start it without --resume");
        }
        files::create_folder(root)?;
        let lock = lock(root)?;
        files::remove_unfinished(root)?;
        Ok(RunFolder { root: root.to_path_buf(), _lock: lock })
    }

    /// Removes a run that failed before its first step, so that its folder can be used again.
    pub fn discard(self) -> anyhow::Result<()> {
        for folder in [self.content(), self.events(), self.checkpoints()] {
            remove(&folder, |path| fs::remove_dir_all(path))?;
        }
        let lock = self.root.join(LOCK);
        for file in [self.metrics(), self.gradients(), self.data(), self.config(), lock] {
            remove(&file, |path| fs::remove_file(path))?;
        }
        // It stays where something else is in it.
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }

    /// The settings as resolved, written before anything else.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// Fingerprints of the data that the run began with.
    pub fn data(&self) -> PathBuf {
        self.root.join("data.json")
    }

    /// One JSON object a step.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// One JSON object a gradient report and group of parameters.
    pub fn gradients(&self) -> PathBuf {
        self.root.join("gradients.jsonl")
    }

    /// The folder that TensorBoard is pointed at.
    pub fn events(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// Checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Content vectors that this run made.
    pub fn content(&self) -> PathBuf {
        self.root.join("content")
    }

    /// The published result.
    pub fn artifact(&self) -> PathBuf {
        artifact_of(&self.root)
    }
}

/// Makes this the only process at work in `folder`; the system frees the lock however it ends.
pub fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(LOCK);
    let lock = File::create(&path).with_context(|| format!("{}: cannot write", path.display()))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        bail!("{}: another process is at work in this folder", folder.display());
    }
    Ok(lock)
}

/// Whether a folder holds anything but hidden files; one that does not exist holds nothing.
fn holds_anything(folder: &Path) -> anyhow::Result<bool> {
    let unreadable = || format!("{}: cannot read", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        entries => entries.with_context(unreadable)?,
    };
    for entry in entries {
        let name = entry.with_context(unreadable)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove(path: &Path, how: fn(&Path) -> std::io::Result<()>) -> anyhow::Result<()> {
    match how(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot remove", path.display()))
        }
        _ => Ok(()),
    }
}

/// The artifact folder of a run, or the folder itself where it is an artifact.
pub fn artifact_of(path: &Path) -> PathBuf {
    if path.join("manifest.json").exists() { path.to_path_buf() } else { path.join("artifact") }
}

/// The files of content vectors inside a folder.
pub fn vectors_file(folder: &Path, side: Side) -> PathBuf {
    folder.join(format!("{side}_embeddings.npy"))
}

/// The state of the embedder that made them.
pub fn embedder_folder(folder: &Path, side: Side) -> PathBuf {
    folder.join("embedder").join(side.name())
}
