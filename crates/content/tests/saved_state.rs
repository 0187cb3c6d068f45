//! The saved state: exact on return, and hostile until checked.

mod common;

use std::fs;
use std::path::Path;

use common::{config, corpus, embed, fit, refs};
use das_content::{DESCRIPTION_FILE, Embedder, load};
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
    let message = load(folder).unwrap_err().to_string();
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
    let loaded = load(&folder).unwrap();
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
        (|d| d["kind"] = json!("word2vec"), "expected `tfidf-svd`, got `word2vec`"),
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
    load(folder.path()).unwrap();
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
