//! A hidden folder in which an artifact grows before it is renamed into place.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::names::MANIFEST_FILE;
use super::rename;
use crate::{Error, Result, files};

/// What to do if there is an artifact at the path already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and fail.
    Refuse,
    /// Put the new one in its place. Anything that is not an artifact is still refused.
    Replace,
}

/// `.NAME.staging-XXXXXX` beside the target: the growing artifact and a locked file that tells
/// a living writer from a dead one's remains. Dropping it removes the folder.
#[derive(Debug)]
pub(super) struct Staging {
    folder: TempDir,
    target: PathBuf,
    existing: Existing,
    /// Locked for as long as this writer lives.
    _lock: File,
}

const LOCK: &str = "lock";
const UNNAMED_LOCK: &str = "lock.new";
const CONTENT: &str = "content";

impl Staging {
    /// Makes the folder, after removing what dead writers of the same target left behind.
    pub(super) fn create(target: &Path, existing: Existing) -> Result<Staging> {
        let parent = parent_of(target);
        let name = target
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::format(target, "not a path for an artifact: no plain name"))?;
        check_target(target, existing)?;
        files::create_folder(parent)?;
        let prefix = format!(".{name}.staging-");
        remove_remains(parent, &prefix);

        let failed = || Error::io(target, "cannot create a staging folder beside it");
        let folder =
            tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).map_err(failed())?;
        // Locked before it takes its name, so that nobody finds it unlocked.
        let unnamed = folder.path().join(UNNAMED_LOCK);
        let lock = File::create(&unnamed).map_err(failed())?;
        lock.lock().map_err(failed())?;
        fs::rename(&unnamed, folder.path().join(LOCK)).map_err(failed())?;
        fs::create_dir(folder.path().join(CONTENT)).map_err(failed())?;
        Ok(Staging { folder, target: target.to_path_buf(), existing, _lock: lock })
    }

    /// The folder that becomes the artifact.
    pub(super) fn content(&self) -> PathBuf {
        self.folder.path().join(CONTENT)
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the content durable and renames it to the target in one step. What stood there
    /// goes with the staging folder.
    pub(super) fn publish(self) -> Result<()> {
        let content = self.content();
        sync_folders(&content)?;
        check_target(&self.target, self.existing)?;
        let moved = match fs::symlink_metadata(&self.target) {
            Ok(_) => rename::exchange(&content, &self.target),
            Err(_) => rename::no_replace(&content, &self.target),
        };
        moved.map_err(Error::io(&self.target, "cannot rename the finished artifact into place"))?;
        files::sync_folder(parent_of(&self.target))
    }
}

fn parent_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the target may be written: free, or an artifact that is to be replaced.
fn check_target(target: &Path, existing: Existing) -> Result<()> {
    if fs::symlink_metadata(target).is_err() {
        return Ok(());
    }
    match existing {
        Existing::Refuse => Err(Error::format(target, "exists already")),
        Existing::Replace if target.join(MANIFEST_FILE).is_file() => Ok(()),
        Existing::Replace => {
            Err(Error::format(target, format!("exists and has no {MANIFEST_FILE}: not replaced")))
        }
    }
}

/// Removes staging folders whose lock is free. Whatever cannot be removed stays: it is in
/// nobody's way.
fn remove_remains(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for folder in entries.flatten().map(|entry| entry.path()) {
        let named =
            folder.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(prefix));
        // An interrupted swap on a file system that cannot swap: perhaps the only copy.
        if !named || folder.join(rename::ASIDE).exists() {
            continue;
        }
        let lock = File::open(folder.join(LOCK));
        let Ok(lock) = lock.or_else(|_| File::open(folder.join(UNNAMED_LOCK))) else { continue };
        match lock.try_lock() {
            Ok(()) => {
                // The lock file goes last, so that an interrupted removal is resumed.
                let _ = fs::remove_dir_all(folder.join(CONTENT));
                let _ = fs::remove_dir_all(&folder);
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

/// Makes the entries of a folder and of all below it durable.
fn sync_folders(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "cannot list"))?;
    for entry in entries {
        let path = entry.map_err(Error::io(folder, "cannot list"))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    files::sync_folder(folder)
}
