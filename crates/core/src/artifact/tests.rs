use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::*;
use crate::sid::collision::{SinkhornConfig, resolve};
use crate::sid::{CollisionPolicy, SidLayout, SidTable};
use crate::{EntityIds, Result, Side};

fn table() -> SidTable {
    let layout = SidLayout::learned(vec![8, 4]).unwrap();
    let learned = SidTable::new(layout, vec![1, 2, 7, 0, 1, 2]).unwrap();
    let config = SinkhornConfig::default();
    resolve(&learned, CollisionPolicy::Suffix, None, &config).unwrap().table
}

fn ids() -> EntityIds {
    EntityIds::Int(vec![10, 11, 12])
}

/// A writer with everything in it, weights as given.
fn filled(path: &Path, existing: Existing, weights: &[u8]) -> Result<ArtifactWriter> {
    let mut writer = ArtifactWriter::create(path, existing)?;
    writer.add_bytes(MODEL_FILE, weights)?;
    writer.add_bytes(CONFIG_FILE, b"seed = 1\n")?;
    writer.add_bytes(&embedder_file(Side::Item, "tfidf.bin"), b"state")?;
    let embedder = Some(json!({"kind": "tfidf", "dim": 16}));
    writer.add_side(
        Side::Item,
        &ids(),
        &table(),
        SideContent { dim: 16, embedder, views: vec![] },
    )?;
    writer.add_side(
        Side::User,
        &ids(),
        &table(),
        SideContent { dim: 24, embedder: None, views: vec![] },
    )?;
    Ok(writer)
}

fn publish(writer: ArtifactWriter) -> Result<Manifest> {
    let data = Map::from_iter([("interactions".to_owned(), json!("abc"))]);
    writer.publish("das", data, json!({"item": {"collision_rate": 0.25}}))
}

/// A published artifact in a folder of its own.
fn published() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    publish(filled(&path, Existing::Refuse, b"weights").unwrap()).unwrap();
    (folder, path)
}

fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn check<T: std::fmt::Debug>(result: Result<T>, expected: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in expected {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// Rewrites the manifest as JSON, as somebody meaning harm would.
fn tamper(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join(MANIFEST_FILE);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(file, manifest.to_string()).unwrap();
}

#[test]
fn what_is_published_is_read_back() {
    let (folder, path) = published();
    assert_eq!(entries(folder.path()), ["run"]);
    let artifact = Artifact::open(&path).unwrap();
    artifact.verify().unwrap();
    assert_eq!(artifact.bytes(MODEL_FILE).unwrap(), b"weights");
    assert_eq!(artifact.bytes("embedder/item/tfidf.bin").unwrap(), b"state");
    let sids = artifact.sids(Side::User).unwrap();
    assert_eq!((sids.ids, sids.table, sids.side), (ids(), table(), Some(Side::User)));
    let manifest = artifact.manifest();
    assert_eq!((manifest.format_version, manifest.method.as_str()), (1, "das"));
    let item = &manifest.sides[&Side::Item];
    assert_eq!((item.rows, item.content_dim, item.layout.suffix()), (3, 16, Some(2)));
    assert_eq!(manifest.metrics["item"]["collision_rate"], 0.25);
    assert_eq!(manifest.files.len(), 7);
    let index = artifact.index(Side::User).unwrap().unwrap();
    for (row, id) in [10, 11, 12].into_iter().enumerate() {
        let found = index.row_of_int(id).unwrap();
        assert_eq!(index.codes(found).collect::<Vec<_>>(), table().row(row));
    }
}

#[test]
fn an_artifact_without_an_index_has_none_and_one_of_other_ids_is_refused() {
    let (_folder, path) = published();
    tamper(&path, |manifest| {
        manifest["files"].as_object_mut().unwrap().remove(&index_file(Side::Item));
    });
    let artifact = Artifact::open(&path).unwrap();
    artifact.verify().unwrap();
    assert!(artifact.index(Side::Item).unwrap().is_none());

    let file = path.join(index_file(Side::User));
    let other = EntityIds::Int(vec![12, 11, 10]);
    crate::sid::index::write_index(&file, &other, &table()).unwrap();
    tamper(&path, |manifest| {
        manifest["files"][&index_file(Side::User)]["sha256"] =
            json!(crate::files::sha256_file(&file).unwrap());
    });
    let artifact = Artifact::open(&path).unwrap();
    check(artifact.verify(), &["user_sids.index", "the ID of user 10 is not that of the table"]);
}

#[test]
fn equal_content_gives_equal_bytes() {
    let read = |path: &Path| fs::read(path.join(MANIFEST_FILE)).unwrap();
    let (first, second) = (published(), published());
    assert_eq!(read(&first.1), read(&second.1));
}

#[test]
fn the_id_space_changes_with_what_codes_mean_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let space = |change: &dyn Fn(&mut ArtifactWriter), weights: &[u8]| {
        let mut writer = filled(&path, Existing::Replace, weights).unwrap();
        change(&mut writer);
        publish(writer).unwrap().id_space
    };
    let base = space(&|_| (), b"weights");
    assert_eq!(base, space(&|_| (), b"weights"));
    assert_eq!(base, space(&|w| w.add_bytes("notes.txt", b"x").unwrap(), b"weights"));
    assert_ne!(base, space(&|_| (), b"other weights"));
    assert_ne!(base, space(&|w| w.add_bytes("embedder/user/x", b"x").unwrap(), b"weights"));
}

#[test]
fn torn_flipped_and_missing_files_are_found() {
    let (_folder, path) = published();
    let model = path.join(MODEL_FILE);
    fs::write(&model, b"Weights").unwrap();
    let artifact = Artifact::open(&path).unwrap();
    check(artifact.bytes(MODEL_FILE), &["model.safetensors", "SHA-256", "the manifest says"]);
    check(artifact.verify(), &["model.safetensors", "SHA-256"]);
    fs::write(&model, b"weig").unwrap();
    check(Artifact::open(&path), &["model.safetensors: 4 bytes, the manifest says 7"]);
    fs::remove_file(&model).unwrap();
    check(Artifact::open(&path), &["model.safetensors", "cannot read"]);
    fs::create_dir(&model).unwrap();
    check(Artifact::open(&path), &["model.safetensors", "not a plain file"]);
}

#[test]
fn every_flipped_byte_of_every_file_is_found() {
    let (_folder, path) = published();
    let listed: Vec<String> =
        Artifact::open(&path).unwrap().manifest().files.keys().cloned().collect();
    for name in listed {
        let file = path.join(&name);
        let good = fs::read(&file).unwrap();
        for at in (0..good.len()).step_by(good.len() / 20 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&file, &bad).unwrap();
            check(Artifact::open(&path).unwrap().verify(), &[&name, "SHA-256"]);
        }
        fs::write(&file, &good).unwrap();
    }
    Artifact::open(&path).unwrap().verify().unwrap();
}

#[test]
fn files_that_are_not_listed_are_never_read() {
    let (_folder, path) = published();
    fs::write(path.join("extra.bin"), b"?").unwrap();
    let artifact = Artifact::open(&path).unwrap();
    artifact.verify().unwrap();
    check(artifact.bytes("extra.bin"), &["lists no file extra.bin"]);
    check(artifact.bytes("../run/extra.bin"), &["lists no file"]);
}

#[test]
fn hostile_manifests_are_refused() {
    let attempt = |change: &dyn Fn(&mut Value), expected: &[&str]| {
        let (_folder, path) = published();
        tamper(&path, change);
        check(Artifact::open(&path).and_then(|a| a.verify()), expected);
    };
    attempt(&|m| m["format_version"] = json!(2), &["format version 2, this program reads 1"]);
    attempt(&|m| drop(m.as_object_mut().unwrap().remove("format_version")), &["not a manifest"]);
    attempt(&|m| m["surprise"] = json!(1), &["unknown field `surprise`"]);
    let entry = json!({"bytes": 1, "sha256": "00"});
    for name in ["../../etc/passwd", "/etc/passwd", "a/../../b", "", "a\\b"] {
        attempt(&|m| m["files"][name] = entry.clone(), &["plain relative path"]);
    }
    attempt(&|m| m["files"]["manifest.json"] = entry.clone(), &["lists itself"]);
    attempt(&|m| drop(m["files"].as_object_mut().unwrap().remove("config.toml")), &["config.toml"]);
    attempt(&|m| m["sides"] = json!({}), &["at least one side"]);
    attempt(&|m| m["id_space"] = json!("x"), &["id_space is x, expected"]);
    attempt(&|m| m["sides"]["item"]["rows"] = json!(4), &["item_sids.parquet", "rows and layout"]);
    attempt(&|m| m["sides"]["item"]["layout"]["codebook_sizes"][0] = json!(0), &["0 codes"]);
    attempt(&|m| m["sides"]["item"]["layout"]["codebook_sizes"][0] = json!(9), &["id_space"]);
    attempt(&|m| m["files"]["model.safetensors"]["bytes"] = json!(-1), &["not a manifest"]);
}

#[test]
fn oversized_truncated_and_absent_manifests_are_refused() {
    let (_folder, path) = published();
    let manifest = path.join(MANIFEST_FILE);
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    check(Artifact::open(&path), &["manifest.json", "not a manifest"]);
    fs::File::create(&manifest).unwrap().set_len(1 << 34).unwrap();
    check(Artifact::open(&path), &["manifest.json", "larger than 16777216 bytes"]);
    fs::remove_file(&manifest).unwrap();
    check(Artifact::open(&path), &["manifest.json", "cannot read"]);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (folder, path) = published();
    let outside = folder.path().join("outside");
    fs::write(&outside, b"weights").unwrap();
    fs::remove_file(path.join(MODEL_FILE)).unwrap();
    symlink(&outside, path.join(MODEL_FILE)).unwrap();
    check(Artifact::open(&path), &["model.safetensors", "is a link"]);

    let (_folder, path) = published();
    fs::rename(path.join("embedder"), &outside).unwrap_err();
    fs::remove_file(&outside).unwrap();
    fs::rename(path.join("embedder"), &outside).unwrap();
    symlink(&outside, path.join("embedder")).unwrap();
    check(Artifact::open(&path), &["embedder", "is a link"]);
}

#[test]
fn sids_of_an_absent_side_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items only");
    let mut writer = ArtifactWriter::create(&path, Existing::Refuse).unwrap();
    writer.add_bytes(MODEL_FILE, b"w").unwrap();
    writer.add_bytes(CONFIG_FILE, b"").unwrap();
    let content = SideContent { dim: 3, embedder: None, views: vec![] };
    writer.add_side(Side::Item, &ids(), &table(), content).unwrap();
    publish(writer).unwrap();
    check(Artifact::open(&path).unwrap().sids(Side::User), &["no user IDs"]);
}

#[test]
fn an_existing_folder_is_replaced_only_on_request_and_only_if_it_is_an_artifact() {
    let (folder, path) = published();
    check(ArtifactWriter::create(&path, Existing::Refuse), &["run: exists already"]);
    publish(filled(&path, Existing::Replace, b"new weights").unwrap()).unwrap();
    assert_eq!(Artifact::open(&path).unwrap().bytes(MODEL_FILE).unwrap(), b"new weights");
    assert_eq!(entries(folder.path()), ["run"]);

    let precious = folder.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("thesis.tex"), b"x").unwrap();
    check(ArtifactWriter::create(&precious, Existing::Replace), &["precious", "not replaced"]);
    assert_eq!(entries(&precious), ["thesis.tex"]);
}

#[test]
fn a_target_that_appears_meanwhile_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let slow = filled(&path, Existing::Refuse, b"slow").unwrap();
    publish(filled(&path, Existing::Refuse, b"fast").unwrap()).unwrap();
    check(publish(slow), &["exists already"]);
    assert_eq!(Artifact::open(&path).unwrap().bytes(MODEL_FILE).unwrap(), b"fast");
    assert_eq!(entries(folder.path()), ["run"]);
}

#[test]
fn readers_see_the_old_or_the_new_artifact_while_it_is_replaced() {
    let (_folder, path) = published();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..20 {
                let weights = format!("weights of round {round}");
                publish(filled(&path, Existing::Replace, weights.as_bytes()).unwrap()).unwrap();
            }
        });
        while !writer.is_finished() {
            assert!(path.join(MANIFEST_FILE).is_file());
        }
        writer.join().unwrap();
    });
}

#[test]
fn an_unfinished_writer_publishes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let writer = filled(&path, Existing::Refuse, b"w").unwrap();
    assert_eq!(entries(folder.path()).len(), 1);
    assert!(entries(folder.path())[0].starts_with(".run.staging-"));
    drop(writer);
    assert!(entries(folder.path()).is_empty());

    let mut incomplete = ArtifactWriter::create(&path, Existing::Refuse).unwrap();
    incomplete.add_bytes(MODEL_FILE, b"w").unwrap();
    check(incomplete.add_bytes(MODEL_FILE, b"w"), &["has a file model.safetensors already"]);
    check(incomplete.add_bytes("../x", b"w"), &["plain relative path"]);
    check(incomplete.add_bytes(MANIFEST_FILE, b"w"), &["manifest.json already"]);
    check(incomplete.add_file("x", &folder.path().join("absent")), &["absent: cannot read"]);
    check(publish(incomplete), &["run", "at least one side"]);
    assert!(entries(folder.path()).is_empty());
}

#[test]
fn remains_of_dead_writers_are_removed_and_living_writers_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    // What a killed writer leaves: its lock is free.
    let dead = folder.path().join(".run.staging-dead00");
    fs::create_dir_all(dead.join("content/embedder")).unwrap();
    fs::write(dead.join("content/model.safetensors"), b"half").unwrap();
    fs::write(dead.join("lock"), b"").unwrap();
    let swapping = folder.path().join(".run.staging-swap00");
    fs::create_dir_all(swapping.join("replaced")).unwrap();
    fs::write(swapping.join("lock"), b"").unwrap();
    let foreign = folder.path().join(".runner.staging-000000");
    fs::create_dir(&foreign).unwrap();

    let living = filled(&path, Existing::Refuse, b"first").unwrap();
    assert!(!dead.exists() && foreign.exists() && swapping.exists());
    let other = ArtifactWriter::create(&path, Existing::Refuse).unwrap();
    drop(other);
    publish(living).unwrap();
    Artifact::open(&path).unwrap().verify().unwrap();
    assert_eq!(entries(folder.path()), [".run.staging-swap00", ".runner.staging-000000", "run"]);
}

#[test]
fn unusable_places_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    check(ArtifactWriter::create(&file.join("run"), Existing::Refuse), &["file", "cannot create"]);
    check(ArtifactWriter::create(Path::new("/"), Existing::Refuse), &["no plain name"]);
    check(ArtifactWriter::create(&file, Existing::Replace), &["not replaced"]);
    check(Artifact::open(&file), &["cannot read"]);
}

#[test]
fn added_files_are_copied_with_their_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("state.bin");
    fs::write(&source, b"abc").unwrap();
    let path = folder.path().join("run");
    let mut writer = filled(&path, Existing::Refuse, b"w").unwrap();
    writer.add_file("embedder/user/state.bin", &source).unwrap();
    let manifest = publish(writer).unwrap();
    let entry = &manifest.files["embedder/user/state.bin"];
    assert_eq!(entry.bytes, 3);
    assert!(entry.sha256.starts_with("ba7816bf"));
    let artifact = Artifact::open(&path).unwrap();
    let checked = artifact.checked_path("embedder/user/state.bin").unwrap();
    assert_eq!(fs::read(checked).unwrap(), b"abc");
}

#[test]
fn a_copy_is_the_same_artifact_and_takes_the_place_of_another() {
    let (folder, path) = published();
    let artifact = Artifact::open(&path).unwrap();
    let target = folder.path().join("served");
    let copy = |existing| ArtifactWriter::copy(&artifact, &target, existing);
    copy(Existing::Replace).unwrap();
    let copied = Artifact::open(&target).unwrap();
    copied.verify().unwrap();
    let manifest = |path: &Path| fs::read(path.join(MANIFEST_FILE)).unwrap();
    assert_eq!(manifest(&target), manifest(&path));
    check(copy(Existing::Refuse), &["served", "exists already"]);
    publish(filled(&target, Existing::Replace, b"others").unwrap()).unwrap();
    copy(Existing::Replace).unwrap();
    assert_eq!(manifest(&target), manifest(&path));
    // A damaged artifact is not copied, and what stood there stays.
    fs::write(path.join(MODEL_FILE), b"wEights").unwrap();
    check(copy(Existing::Replace), &["model.safetensors", "SHA-256"]);
    Artifact::open(&target).unwrap().verify().unwrap();
    assert_eq!(entries(folder.path()), ["run", "served"]);
}

#[test]
fn an_artifact_is_amended_in_one_step_and_keeps_its_id_space() {
    let (folder, path) = published();
    let before = Artifact::open(&path).unwrap();
    let amended = |content: &[u8]| {
        let artifact = Artifact::open(&path).unwrap();
        let manifest = artifact.manifest().clone();
        let mut writer = ArtifactWriter::amend(&artifact, "retriever").unwrap();
        writer.add_bytes("retriever/model.safetensors", content).unwrap();
        writer.publish(&manifest.method, manifest.data, manifest.metrics).unwrap()
    };
    amended(b"first");
    let manifest = amended(b"second");
    assert_eq!(manifest.id_space, before.manifest().id_space);
    assert_eq!(manifest.files.len(), before.manifest().files.len() + 1);
    let after = Artifact::open(&path).unwrap();
    after.verify().unwrap();
    assert_eq!(after.bytes("retriever/model.safetensors").unwrap(), b"second");
    assert_eq!(after.sids(Side::Item).unwrap(), before.sids(Side::Item).unwrap());
    assert_eq!(entries(folder.path()), ["run"]);

    // A damaged file is not carried over, and the artifact stays as it was.
    fs::write(path.join(MODEL_FILE), b"wEights").unwrap();
    check(ArtifactWriter::amend(&after, "retriever"), &["model.safetensors", "SHA-256"]);
    assert_eq!(entries(folder.path()), ["run"]);
}
