//! Writing files so that a reader sees the old content or the new one, never a part.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// How the names of unfinished files begin.
const TEMPORARY_PREFIX: &str = ".tmp-";

/// Replaces `path` by what `write` produces: temporary file beside it, fsync, rename, fsync of
/// the folder. On any error `path` keeps what it held and the temporary file is gone.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<&File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(folder)
        .map_err(Error::io(path, "cannot create"))?;
    let mut buffer = std::io::BufWriter::with_capacity(1 << 20, temporary.as_file());
    write(&mut buffer)
        .and_then(|()| buffer.flush())
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(Error::io(path, "cannot write"))?;
    drop(buffer);
    make_readable(temporary.as_file()).map_err(Error::io(path, "cannot set permissions"))?;
    temporary
        .persist(path)
        .map_err(|failed| Error::io(path, "cannot rename into place")(failed.error))?;
    sync_folder(folder)
}

/// [`write_atomic`] for bytes at hand.
pub fn write_bytes_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |out| out.write_all(bytes))
}

/// Removes what writers that were killed have left in `folder` and the plain folders below it.
/// Nobody may be writing there.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    let unreadable = || Error::io(folder, "cannot list");
    for entry in fs::read_dir(folder).map_err(unreadable())? {
        let entry = entry.map_err(unreadable())?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_folder = entry.file_type().map_err(unreadable())?.is_dir();
        if is_folder && !name.as_encoded_bytes().starts_with(b".") {
            remove_unfinished(&path)?;
        } else if !is_folder && name.as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            fs::remove_file(&path).map_err(Error::io(&path, "cannot remove"))?;
        }
    }
    Ok(())
}

/// Makes a rename inside `folder` durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder, "cannot sync"))
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io(path, "cannot read"))
}

/// Reads a whole text file, which must be UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::format(path, format!("not UTF-8: invalid byte at offset {at}"))
    })
}

/// Runs a third-party decoder over the file at `path`; should it panic, that is an error about
/// the file. The Parquet decoder indexes out of bounds on some damaged pages.
pub fn decode<T>(path: &Path, decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing that a half-done decoder has touched outlives this call.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decoder))
        .unwrap_or_else(|_| Err(Error::format(path, "damaged: its decoder gave up")))
}

/// Creates a folder and its parents.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(path, "cannot create folder"))
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(Error::io(path, "cannot read"))?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Temporary files are private by default; published ones follow the usual umask-like mode.
#[cfg(unix)]
fn make_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_content_and_leaves_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_bytes_atomic(&path, b"old").unwrap();
        let failed = write_atomic(&path, |out| {
            out.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_unfinished_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        ["below", ".hidden"].iter().for_each(|name| fs::create_dir(path(name)).unwrap());
        let unfinished = [".tmp-x1Y2", "below/.tmp-x"];
        let others = ["a", ".b", "below/c", ".hidden/.tmp-z"];
        unfinished.iter().chain(&others).for_each(|name| fs::write(path(name), b"").unwrap());
        remove_unfinished(folder.path()).unwrap();
        assert!(unfinished.iter().all(|name| !path(name).exists()));
        assert!(others.iter().all(|name| path(name).exists()));
    }

    #[test]
    fn a_decoder_that_panics_is_an_error_about_the_file() {
        let path = Path::new("x.parquet");
        assert_eq!(decode(path, || Ok(3)).unwrap(), 3);
        let panicking = decode(path, || Ok([1, 2][std::hint::black_box(5)]));
        assert!(panicking.unwrap_err().to_string().contains("x.parquet: damaged"));
    }

    #[test]
    fn hashes_agree_with_the_published_test_vector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        write_bytes_atomic(&path, b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_file(&path).unwrap(), expected);
        assert_eq!(sha256_bytes(b"abc"), expected);
    }
}
