//! Renames that never leave a target half there.

use std::fs;
use std::io::Result;
use std::path::Path;

/// Where the old folder is kept while it is replaced in two steps, beside the new one.
pub(super) const ASIDE: &str = "replaced";

/// Swaps `new` and `target` in one step: a reader sees the old folder or the new one.
///
/// Where the system or the file system cannot, the old one is put aside first; for a
/// moment there is none.
pub(super) fn exchange(new: &Path, target: &Path) -> Result<()> {
    one_step(new, target, Flag::Exchange).unwrap_or_else(|| {
        let aside = new.with_file_name(ASIDE);
        fs::rename(target, &aside)?;
        fs::rename(new, target).inspect_err(|_| drop(fs::rename(&aside, target)))
    })
}

/// Renames `new` to `target`; fails if that has come into being meanwhile.
pub(super) fn no_replace(new: &Path, target: &Path) -> Result<()> {
    one_step(new, target, Flag::NoReplace).unwrap_or_else(|| fs::rename(new, target))
}

enum Flag {
    Exchange,
    NoReplace,
}

/// `renameat2` and its like; none where it is not supported.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn one_step(new: &Path, target: &Path, flag: Flag) -> Option<Result<()>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    let flags = match flag {
        Flag::Exchange => RenameFlags::EXCHANGE,
        Flag::NoReplace => RenameFlags::NOREPLACE,
    };
    match renameat_with(CWD, new, CWD, target, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
        done => Some(done.map_err(std::io::Error::from)),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn one_step(_new: &Path, _target: &Path, _flag: Flag) -> Option<Result<()>> {
    None
}
