//! The saved state: exact on return, and hostile until checked.

use std::fs;
use std::path::Path;

use crate::corpus::{config, corpus, embed, fit, refs};
use das_content::{DESCRIPTION_FILE, Embedder, Models, TfidfSvdConfig, load};
use das_core::files::sha256_bytes;
use safetensors::SafeTensors;
use serde_json::{Value, json};

const TENSOR_FILE: &str = "embedder.safetensors";

fn saved() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let texts = corpus(80, 1);
    fit(&refs(&texts), &config(8)).0.save(folder.path()).unwrap();
    folder
}

/// The error of loading, which must name the file at fault.
fn error(folder: &Path, file: &str) -> String {
    let message = load(folder, &Models::default()).unwrap_err().to_string();
    assert!(message.contains(file), "{message}");
    message
}

fn edit_description(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join(DESCRIPTION_FILE);
    let mut description = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut description);
    fs::write(&path, description.to_string()).unwrap();
}

#[test]
fn what_is_loaded_embeds_to_the_same_bits() {
    let texts = corpus(300, 2);
    let (fitted, report) = fit(&refs(&texts), &config(24));
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("embedder/item");
    fitted.save(&folder).unwrap();
    assert_eq!(fs::metadata(folder.join(TENSOR_FILE)).unwrap().len(), report.state_bytes as u64);
    let loaded = load(&folder, &Models::default()).unwrap();
    assert_eq!((loaded.identity(), loaded.dim()), (fitted.identity(), fitted.dim()));
    let mut unseen = corpus(50, 3);
    unseen.extend(texts);
    assert_eq!(embed(&*loaded, &refs(&unseen)), embed(&fitted, &refs(&unseen)));
    // Saving what was loaded gives the same files.
    let again = tempfile::tempdir().unwrap();
    loaded.save(again.path()).unwrap();
    for file in [DESCRIPTION_FILE, TENSOR_FILE] {
        assert_eq!(
            fs::read(folder.join(file)).unwrap(),
            fs::read(again.path().join(file)).unwrap()
        );
    }
}

#[test]
fn the_identity_tells_states_and_settings_apart() {
    let identity = |seed, dim| fit(&refs(&corpus(80, seed)), &config(dim)).0.identity();
    assert_eq!(identity(1, 8), identity(1, 8));
    assert_ne!(identity(1, 8).hash, identity(2, 8).hash);
    assert_ne!(identity(1, 8).hash, identity(1, 9).hash);
    let round_trip: das_content::EmbedderIdentity =
        serde_json::from_str(&serde_json::to_string(&identity(1, 8)).unwrap()).unwrap();
    assert_eq!(round_trip, identity(1, 8));
}

#[test]
fn missing_files_are_named() {
    let empty = tempfile::tempdir().unwrap();
    error(empty.path(), DESCRIPTION_FILE);
    let folder = saved();
    fs::remove_file(folder.path().join(TENSOR_FILE)).unwrap();
    error(folder.path(), TENSOR_FILE);
}

#[test]
fn wrong_descriptions_are_refused() {
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 8] = [
        (
            |d| d["kind"] = json!("word2vec"),
            "expected one of `tfidf-svd`, `plm`, `endpoint`, got `word2vec`",
        ),
        (|d| d["version"] = json!(99), "`version`: expected 1, got 99"),
        (|d| d["dim"] = json!(0), "`dim`"),
        (|d| d["dim"] = json!(1u64 << 60), "`dim`"),
        (|d| d["features"] = json!(u64::MAX), "`features`"),
        (|d| d["config"]["bucket_bits"] = json!(63), "`bucket_bits`"),
        (|d| d["config"]["min_df"] = json!(-1), "-1"),
        (|d| d["surprise"] = json!(true), "surprise"),
    ];
    for (edit, expected) in edits {
        let folder = saved();
        edit_description(folder.path(), edit);
        let message = error(folder.path(), DESCRIPTION_FILE);
        assert!(message.contains(expected), "{message}");
    }
    let folder = saved();
    fs::write(folder.path().join(DESCRIPTION_FILE), "{").unwrap();
    error(folder.path(), DESCRIPTION_FILE);
    fs::write(folder.path().join(DESCRIPTION_FILE), " ".repeat(2 << 20)).unwrap();
    assert!(error(folder.path(), DESCRIPTION_FILE).contains("more than"));
}

#[test]
fn a_description_that_fits_other_settings_is_refused() {
    let folder = saved();
    edit_description(folder.path(), |d| d["config"]["char_ngram_max"] = json!(4));
    assert!(error(folder.path(), TENSOR_FILE).contains("hash"));
}

#[test]
fn torn_and_flipped_tensors_are_refused() {
    let folder = saved();
    let path = folder.path().join(TENSOR_FILE);
    let whole = fs::read(&path).unwrap();
    for keep in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..keep]).unwrap();
        error(folder.path(), TENSOR_FILE);
    }
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        fs::write(&path, &flipped).unwrap();
        error(folder.path(), TENSOR_FILE);
    }
    fs::write(&path, &whole).unwrap();
    load(folder.path(), &Models::default()).unwrap();
}

/// The byte range of a tensor in the file.
fn range(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let data = SafeTensors::deserialize(bytes).unwrap().tensor(name).unwrap().data();
    let start = data.as_ptr().addr() - bytes.as_ptr().addr();
    start..start + data.len()
}

#[test]
fn forged_tensors_are_refused_even_under_a_right_hash() {
    type Forge = fn(&mut Vec<u8>);
    let forgeries: [(Forge, &str); 6] = [
        (|b| overwrite(b, "projection", 1, f32::NAN.to_le_bytes()), "`projection`: value 1"),
        (|b| overwrite(b, "fallback", 0, f32::INFINITY.to_le_bytes()), "`fallback`: value 0"),
        (|b| overwrite(b, "idf", 2, (-1f32).to_le_bytes()), "`idf`: expected a positive"),
        (|b| overwrite(b, "buckets", 1, 0u32.to_le_bytes()), "not ascending at column 1"),
        (|b| overwrite_last(b, "buckets", u32::MAX.to_le_bytes()), "`buckets`: expected values"),
        (|b| rename(b, b"\"fallback\"", b"\"fallbacc\""), "fallback"),
    ];
    for (forge, expected) in forgeries {
        let folder = saved();
        let path = folder.path().join(TENSOR_FILE);
        let mut bytes = fs::read(&path).unwrap();
        forge(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let settings = serde_json::to_string(&config(8)).unwrap();
        let hash = sha256_bytes(format!("{settings}\n{}", sha256_bytes(&bytes)).as_bytes());
        edit_description(folder.path(), |d| {
            assert_eq!(
                serde_json::from_value::<TfidfSvdConfig>(d["config"].clone()).unwrap(),
                config(8)
            );
            d["hash"] = json!(hash);
        });
        let message = error(folder.path(), TENSOR_FILE);
        assert!(message.contains(expected), "{message}");
    }
}

fn overwrite(bytes: &mut [u8], name: &str, at: usize, value: [u8; 4]) {
    let start = range(bytes, name).start + 4 * at;
    bytes[start..start + 4].copy_from_slice(&value);
}

fn overwrite_last(bytes: &mut [u8], name: &str, value: [u8; 4]) {
    let end = range(bytes, name).end;
    bytes[end - 4..end].copy_from_slice(&value);
}

fn rename(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let texts = corpus(80, 1);
    let failed = fit(&refs(&texts), &config(8)).0.save(&file.join("inside")).unwrap_err();
    assert!(failed.to_string().contains("file"), "{failed}");
}
