//! Rankers as bytes.

use das_nn::Device;
use das_nn::safetensors_io::{Contents, TensorData, from_bytes, to_bytes};
use das_recommend::ranker::{Ranker, RankerConfig};

use crate::market::{Market, config, predict, train};

fn trained(market: &Market) -> Ranker {
    let mut config = config();
    config.fit.epochs = 1;
    train(market, &market.features_with_sids(), &config).0
}

#[test]
fn a_ranker_survives_its_bytes() {
    let market = Market::new(21);
    let ranker = trained(&market);
    let bytes = ranker.to_bytes().unwrap();
    let loaded = Ranker::from_bytes(&Device::cpu(), &bytes).unwrap();
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    assert_eq!(loaded.config(), ranker.config());
    let features = market.features_with_sids();
    let logits = |ranker: &Ranker| predict(ranker, &features, &market.cold).unwrap();
    assert_eq!(logits(&loaded), logits(&ranker));
}

#[test]
fn damaged_bytes_are_refused() {
    let bytes = trained(&Market::new(22)).to_bytes().unwrap();
    let refused = |change: &dyn Fn(&mut Contents), expected: &str| {
        let mut file = from_bytes(&bytes).unwrap();
        change(&mut file);
        let changed = to_bytes(&file.tensors, &file.metadata).unwrap();
        let error = Ranker::from_bytes(&Device::cpu(), &changed).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    assert!(Ranker::from_bytes(&Device::cpu(), &bytes[..bytes.len() / 2]).is_err());
    assert!(Ranker::from_bytes(&Device::cpu(), b"").is_err());
    let metadata = |key: &'static str, from: &'static str, to: &'static str| {
        move |file: &mut Contents| {
            let text = file.metadata.get_mut(key).unwrap();
            assert!(text.contains(from), "{text}");
            *text = text.replace(from, to);
        }
    };
    refused(&metadata("model", "ranker", "sasrec"), "expected a model of kind `ranker`");
    refused(&metadata("header", "\"dim\":8", "\"dim\":0"), "ranker.dim");
    refused(&metadata("header", "\"dim\":8", "\"dim\":16"), "expected f32 [");
    refused(&metadata("header", "heads", "hands"), "unknown field `hands`");
    // A claim of four billion categories is not believed, let alone allocated.
    refused(
        &metadata("header", "\"hour\",\"cardinality\":25", "\"hour\",\"cardinality\":4000000000"),
        "context.hour",
    );
    refused(
        &metadata("header", "\"bags\":[]", "\"bags\":[{\"name\":\"x\",\"cardinality\":2}]"),
        "bag.x",
    );
    refused(&|file| drop(file.metadata.remove("header")), "settings cannot be read");
    refused(&|file| file.tensors.retain(|tensor| tensor.name != "head.bias"), "head.bias");
    refused(&|file| file.tensors.retain(|tensor| tensor.name != "item.rows"), "item.rows");
    let renamed = |file: &mut Contents| {
        let mut extra = file.tensors[0].clone();
        extra.name = "extra".into();
        file.tensors.push(extra);
    };
    refused(&renamed, "`extra` is not known");
    let far_row = |file: &mut Contents| {
        let rows = file.tensors.iter_mut().find(|tensor| tensor.name == "item.rows").unwrap();
        let TensorData::U32(rows) = &mut rows.data else { panic!("u32 rows") };
        rows[0] = 1_000_000;
    };
    refused(&far_row, "ID 0 has row 1000000");
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let text = serde_json::to_string(&RankerConfig::default()).unwrap();
    assert_eq!(serde_json::from_str::<RankerConfig>(&text).unwrap(), RankerConfig::default());
    assert!(serde_json::from_str::<RankerConfig>("{\"width\": 3}").is_err());
}
