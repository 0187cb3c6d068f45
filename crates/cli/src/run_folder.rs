//! Where a run keeps its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use das_core::{Side, files};

/// The folder of one training run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// A folder for a new run, or, with `resume`, the folder of an interrupted one. A folder that
    /// holds anything else is refused.
    pub fn prepare(root: &Path, resume: bool) -> anyhow::Result<RunFolder> {
        let run = RunFolder { root: root.to_path_buf() };
        let occupied = match std::fs::read_dir(root) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(error).with_context(|| format!("{}: cannot read", root.display())),
        };
        if occupied && !run.config().exists() {
            bail!("{}: the folder is not empty and holds no run; choose another", root.display());
        }
        if occupied && !resume {
            bail!(
                "{}: the folder holds another run; add --resume to continue it or choose another",
                root.display()
            );
        }
        if !occupied && resume {
            bail!("{}: there is no run to resume", root.display());
        }
        files::create_folder(root)?;
        Ok(run)
    }

    /// The settings as resolved, written before anything else.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// One JSON object a step.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
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
