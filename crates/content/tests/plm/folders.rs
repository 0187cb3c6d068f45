//! Folders that are no model, or a damaged one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use das_content::{Batch, Plm, PlmConfig, TextModel};
use das_core::progress::{Cancel, Silent};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{embed, fixture};

/// A copy of the BERT fixture to be damaged.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors", "modules.json"] {
        fs::copy(fixture("bert").join(name), folder.path().join(name)).unwrap();
    }
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let pooling = "1_Pooling/config.json";
    fs::copy(fixture("bert").join(pooling), folder.path().join(pooling)).unwrap();
    folder
}

fn open(folder: &Path) -> das_content::Result<Plm> {
    Plm::open(folder, &PlmConfig::default())
}

fn message(folder: &Path) -> String {
    open(folder).unwrap_err().to_string()
}

/// Changes a JSON file of a folder.
fn edit(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(name);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn errors_name_the_file_and_what_is_wrong_with_it() {
    type Damage = fn(&Path);
    let cases: [(Damage, &[&str]); 14] = [
        (|f| fs::remove_file(f.join("config.json")).unwrap(), &["config.json", "is missing"]),
        (|f| fs::write(f.join("config.json"), "{").unwrap(), &["config.json", "EOF"]),
        (|f| edit(f, "config.json", |c| c["model_type"] = json!("gpt2")), &["model_type", "gpt2"]),
        (
            |f| edit(f, "config.json", |c| c["hidden_act"] = json!("swish")),
            &["hidden_act", "swish"],
        ),
        (|f| edit(f, "config.json", |c| c["num_attention_heads"] = json!(5)), &["divisor of 24"]),
        (|f| edit(f, "config.json", |c| c["hidden_size"] = json!(1u64 << 40)), &["hidden_size"]),
        (|f| edit(f, "config.json", |c| c["vocab_size"] = json!(401)), &["[401, 24]", "[400, 24]"]),
        (
            |f| edit(f, "config.json", |c| c["num_hidden_layers"] = json!(3)),
            &["layer.2", "missing"],
        ),
        (|f| fs::remove_file(f.join("tokenizer.json")).unwrap(), &["tokenizer.json", "python"]),
        (|f| fs::write(f.join("tokenizer.json"), "[]").unwrap(), &["tokenizer.json"]),
        (|f| edit(f, "modules.json", |m| m[2]["type"] = json!("x.Dense")), &["modules", "`Dense`"]),
        (|f| edit(f, "modules.json", |m| m[1]["path"] = json!("../up")), &["inside", "../up"]),
        (
            |f| {
                edit(f, "1_Pooling/config.json", |p| p["pooling_mode_cls_token"] = json!(true));
            },
            &["1_Pooling", "`cls + mean`"],
        ),
        (|f| fs::write(f.join("model.safetensors"), [1; 20]).unwrap(), &["model.safetensors"]),
    ];
    for (damage, parts) in cases {
        let folder = copy();
        open(folder.path()).unwrap();
        damage(folder.path());
        let message = message(folder.path());
        for part in parts {
            assert!(message.contains(part), "expected `{part}` in: {message}");
        }
    }
    assert!(message(Path::new("/no/such/folder")).contains("/no/such/folder"));
}

#[test]
fn a_pickle_is_not_run_and_the_way_to_convert_it_is_told() {
    let folder = copy();
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pytorch_model.bin"))
        .unwrap();
    let message = message(folder.path());
    assert!(message.contains("pytorch_model.bin") && message.contains("save_pretrained"));
}

/// The tensors of the fixture as bytes.
fn tensors() -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(fixture("bert").join("model.safetensors")).unwrap();
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let own = |(name, view): (&str, TensorView<'_>)| {
        (name.to_string(), (view.shape().to_vec(), view.data().to_vec()))
    };
    parsed.iter().map(own).collect()
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, (Vec<usize>, Vec<u8>)>) {
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}

#[test]
fn weights_in_several_files_with_the_prefix_of_another_class() {
    let folder = copy();
    let whole = embed(&open(folder.path()).unwrap(), &["red nail polish"]).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut parts = [BTreeMap::new(), BTreeMap::new()];
    let mut places = BTreeMap::new();
    for (at, (name, tensor)) in tensors().into_iter().enumerate() {
        let name = format!("bert.{}", name.replace("LayerNorm.weight", "LayerNorm.gamma"));
        let name = name.replace("LayerNorm.bias", "LayerNorm.beta");
        places.insert(name.clone(), format!("part-{}.safetensors", at % 2));
        parts[at % 2].insert(name, tensor);
    }
    for (at, part) in parts.iter().enumerate() {
        write_tensors(&folder.path().join(format!("part-{at}.safetensors")), part);
    }
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({ "weight_map": places }).to_string()).unwrap();
    assert_eq!(embed(&open(folder.path()).unwrap(), &["red nail polish"]).unwrap(), whole);

    fs::remove_file(folder.path().join("part-1.safetensors")).unwrap();
    assert!(message(folder.path()).contains("part-1.safetensors: is missing"));
    fs::write(&index, json!({ "weight_map": { "x": "../x.safetensors" } }).to_string()).unwrap();
    assert!(message(folder.path()).contains("../x.safetensors"));
}

#[test]
fn weights_that_are_no_numbers_or_of_another_type() {
    let folder = copy();
    let path = folder.path().join("model.safetensors");
    let mut damaged = tensors();
    let (_, bytes) = damaged.get_mut("embeddings.word_embeddings.weight").unwrap();
    bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    write_tensors(&path, &damaged);
    let found = message(folder.path());
    assert!(found.contains("word_embeddings") && found.contains("value 2 is NaN"), "{found}");

    let bytes = vec![0u8; 400 * 24];
    let view = TensorView::new(Dtype::I8, vec![400, 24], &bytes).unwrap();
    let name = "embeddings.word_embeddings.weight";
    fs::write(&path, serialize([(name, view)], None).unwrap()).unwrap();
    assert!(message(folder.path()).contains("expected F32, F16 or BF16, got I8"));
}

#[test]
fn a_token_outside_the_vocabulary_is_an_error() {
    let folder = copy();
    edit(folder.path(), "tokenizer.json", |tokenizer| {
        tokenizer["model"]["vocab"]["zzz"] = json!(5000);
    });
    let error = embed(&open(folder.path()).unwrap(), &["zzz"]).unwrap_err().to_string();
    assert!(error.contains("token 5000 of a vocabulary of 400"), "{error}");
}

#[test]
fn a_template_of_tokens_that_are_not_there_is_an_error() {
    let folder = copy();
    edit(folder.path(), "tokenizer.json", |tokenizer| {
        tokenizer["post_processor"]["special_tokens"].as_object_mut().unwrap().remove("[CLS]");
    });
    assert!(message(folder.path()).contains("tokenizer.json"), "{}", message(folder.path()));
}

#[test]
fn a_request_to_stop_is_heard_between_batches() {
    let config = PlmConfig { batch_tokens: 1, ..Default::default() };
    let model = Plm::open(&fixture("bert"), &config).unwrap();
    let cancel = Cancel::default();
    let mut batches = 0;
    let mut done = |_: Batch| {
        batches += 1;
        cancel.request();
        Ok(())
    };
    let error = model.embed_batches(&["a", "b"], &Silent, &cancel, &mut done).unwrap_err();
    assert_eq!((error.to_string().as_str(), batches), ("interrupted", 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage anywhere in the weights' header or in the descriptions is an error or harmless.
    #[test]
    fn flipped_bytes_never_panic(at in 0usize..4096, bit in 0u8..8, which in 0usize..3) {
        let folder = copy();
        let name = ["model.safetensors", "config.json", "tokenizer.json"][which];
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        if let Ok(model) = open(folder.path()) {
            let _ = embed(&model, &["red nail polish"]);
        }
    }
}
