//! Reading an artifact that may be torn, altered or made to do harm.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::manifest::{FileEntry, Manifest, SideManifest};
use super::names::{self, MANIFEST_FILE};
use crate::sid::files::{SidFile, read_parquet};
use crate::sid::index::SidIndex;
use crate::{Error, Result, Side, files};

/// A longer manifest is refused before it is read.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// An artifact whose manifest has been checked. Files are checked when they are used; files that
/// the manifest does not list are never looked at.
#[derive(Clone, Debug)]
pub struct Artifact {
    folder: PathBuf,
    manifest: Manifest,
}

impl Artifact {
    /// Reads the manifest of the folder at `path` and checks that every listed file is there,
    /// is a plain file and has the listed size.
    pub fn open(path: &Path) -> Result<Artifact> {
        let manifest_path = path.join(MANIFEST_FILE);
        let mut json = Vec::new();
        File::open(&manifest_path)
            .and_then(|file| file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut json))
            .map_err(Error::io(&manifest_path, "cannot read"))?;
        if json.len() as u64 > MAX_MANIFEST_BYTES {
            let message = format!("larger than {MAX_MANIFEST_BYTES} bytes: not a manifest");
            return Err(Error::format(&manifest_path, message));
        }
        let manifest = Manifest::from_json(&json)
            .map_err(|error| Error::format(&manifest_path, error.to_string()))?;
        let artifact = Artifact { folder: path.to_path_buf(), manifest };
        artifact.manifest.files.keys().try_for_each(|name| artifact.locate(name).map(drop))?;
        Ok(artifact)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the artifact is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Checks every file against its checksum, the ID tables against the manifest and the indexes
    /// against the tables.
    pub fn verify(&self) -> Result<()> {
        self.manifest.files.keys().try_for_each(|name| self.checked_path(name).map(drop))?;
        self.manifest.sides.keys().try_for_each(|&side| self.compare(side, &self.sids(side)?))
    }

    /// The content of a listed file, checked.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let (path, entry) = self.locate(name)?;
        let bytes = files::read(&path)?;
        check_hash(&path, entry, &files::sha256_bytes(&bytes))?;
        Ok(bytes)
    }

    /// The path of a listed file whose content has just been checked, for mapping it.
    pub fn checked_path(&self, name: &str) -> Result<PathBuf> {
        let (path, entry) = self.locate(name)?;
        check_hash(&path, entry, &files::sha256_file(&path)?)?;
        Ok(path)
    }

    /// The IDs of a side, checked against its layout and row count.
    pub fn sids(&self, side: Side) -> Result<SidFile> {
        let described = self.side(side)?;
        let path = self.checked_path(&names::sids_file(side))?;
        let sids = read_parquet(&path, None)?;
        let found = (sids.side, sids.table.len(), sids.table.layout());
        let expected = (Some(side), described.rows, &described.layout);
        if found != expected {
            let message = format!("side, rows and layout are {found:?}, expected {expected:?}");
            return Err(Error::format(&path, message));
        }
        Ok(sids)
    }

    /// The index of a side's IDs, checked against its layout and row count and mapped; none where
    /// the artifact was published without.
    pub fn index(&self, side: Side) -> Result<Option<SidIndex>> {
        let described = self.side(side)?;
        let name = names::index_file(side);
        if !self.manifest.files.contains_key(&name) {
            return Ok(None);
        }
        let path = self.checked_path(&name)?;
        let index = SidIndex::open(&path, &described.layout)?;
        if index.len() != described.rows {
            let message = format!("{} rows, expected {}", index.len(), described.rows);
            return Err(Error::format(&path, message));
        }
        Ok(Some(index))
    }

    /// What the manifest says of a side.
    fn side(&self, side: Side) -> Result<&SideManifest> {
        self.manifest
            .sides
            .get(&side)
            .ok_or_else(|| Error::format(&self.folder, format!("this artifact has no {side} IDs")))
    }

    /// The index must say what the table says.
    fn compare(&self, side: Side, sids: &SidFile) -> Result<()> {
        let Some(index) = self.index(side)? else { return Ok(()) };
        let differs = |&row: &usize| {
            let found = index.row_of(sids.ids.get(row));
            !found.is_some_and(|at| index.codes(at).eq(sids.table.row(row).iter().copied()))
        };
        match (0..sids.table.len()).into_par_iter().find_first(differs) {
            Some(row) => {
                let id = sids.ids.display(row);
                let message = format!("the ID of {side} {id} is not that of the table");
                Err(Error::format(&self.folder.join(names::index_file(side)), message))
            }
            None => Ok(()),
        }
    }

    /// The path of a listed file: inside the folder, plain, of the listed size.
    fn locate(&self, name: &str) -> Result<(PathBuf, &FileEntry)> {
        let entry = self.manifest.files.get(name).ok_or_else(|| {
            Error::format(&self.folder, format!("the manifest lists no file {name}"))
        })?;
        let mut path = self.folder.clone();
        let mut metadata = None;
        for part in name.split('/') {
            path.push(part);
            let found = fs::symlink_metadata(&path).map_err(Error::io(&path, "cannot read"))?;
            if found.is_symlink() {
                return Err(Error::format(&path, "is a link, expected a plain file or folder"));
            }
            metadata = Some(found);
        }
        match metadata {
            Some(found) if found.is_file() && found.len() == entry.bytes => Ok((path, entry)),
            Some(found) if found.is_file() => {
                let message = format!("{} bytes, the manifest says {}", found.len(), entry.bytes);
                Err(Error::format(&path, message))
            }
            _ => Err(Error::format(&path, "not a plain file")),
        }
    }
}

fn check_hash(path: &Path, entry: &FileEntry, found: &str) -> Result<()> {
    if found != entry.sha256 {
        let message = format!("SHA-256 is {found}, the manifest says {}", entry.sha256);
        return Err(Error::format(path, message));
    }
    Ok(())
}
