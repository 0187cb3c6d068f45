use das_core::sid::SidTable;
use das_nn::Device;
use das_recommend::generative::Seen;
use das_recommend::{Recommender, Retriever, SasRec};

use super::common::*;

fn models() -> (SasRec, Retriever, SidTable) {
    let (train, sids) = (chain(60, 1), random_sids(ITEMS, &[4, 4, 2], 1));
    let (sasrec, _) = train_sasrec(&train, &[], &sasrec_config());
    let (retriever, _) = train_retriever(&sids, &train, &[], &retriever_config());
    (sasrec, retriever, sids)
}

#[test]
fn models_come_back_as_they_were() {
    let (sasrec, retriever, sids) = models();
    let histories: [&[u32]; 3] = [&[], &[1, 2], &[3; 20]];
    let device = Device::cpu();
    let again = SasRec::from_bytes(&device, &sasrec.to_bytes().unwrap()).unwrap();
    assert_eq!(again.scores(&histories).unwrap(), sasrec.scores(&histories).unwrap());
    assert_eq!(again.config(), sasrec.config());
    let bytes = retriever.to_bytes().unwrap();
    let again = Retriever::from_bytes(&device, &bytes, &sids).unwrap();
    let search = |model: &Retriever| model.exact(&histories, 5, Seen::Included).unwrap();
    assert_eq!(search(&again), search(&retriever));
}

#[test]
fn items_that_came_later_are_found_by_their_ids() {
    let (_, retriever, _) = models();
    let more = random_sids(2 * ITEMS, &[4, 4, 2], 1);
    let bytes = retriever.to_bytes().unwrap();
    let grown = Retriever::from_bytes(&Device::cpu(), &bytes, &more).unwrap();
    let found = grown.exact(&[&[40, 41]], 2 * ITEMS, Seen::Included).unwrap();
    let items: usize = found[0].iter().map(|one| one.items.len()).sum();
    assert_eq!(items, 2 * ITEMS);
}

#[test]
fn other_layouts_and_other_models_are_refused() {
    let (sasrec, retriever, _) = models();
    let device = Device::cpu();
    let other = random_sids(ITEMS, &[4, 4, 3], 1);
    let bytes = retriever.to_bytes().unwrap();
    let error = Retriever::from_bytes(&device, &bytes, &other).unwrap_err().to_string();
    assert!(error.contains("[4, 4, 2]") && error.contains("[4, 4, 3]"), "{error}");
    let error = SasRec::from_bytes(&device, &bytes).unwrap_err().to_string();
    assert!(error.contains("expected a model of kind `sasrec`, found `retriever`"), "{error}");
    let bytes = sasrec.to_bytes().unwrap();
    assert!(Retriever::from_bytes(&device, &bytes, &other).is_err());
}

/// Replaces text in the header of a safetensors file, whose length comes first.
fn altered(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(header.contains(from), "{header}");
    let header = header.replacen(from, to, 1);
    let mut all = (header.len() as u64).to_le_bytes().to_vec();
    all.extend(header.as_bytes());
    all.extend(&bytes[8 + length..]);
    all
}

#[test]
fn altered_files_are_refused_before_their_claims_are_believed() {
    let (sasrec, retriever, sids) = models();
    let device = Device::cpu();
    let bytes = sasrec.to_bytes().unwrap();
    let load = |bytes: &[u8]| SasRec::from_bytes(&device, bytes).unwrap_err().to_string();
    let huge = altered(&bytes, r#"\"num_items\":24"#, r#"\"num_items\":240000000000"#);
    assert!(load(&huge).contains("do not hold the"), "{}", load(&huge));
    let wide = altered(&bytes, r#"\"dim\":16"#, r#"\"dim\":16000"#);
    assert!(load(&wide).contains("do not hold the"), "{}", load(&wide));
    let heads = altered(&bytes, r#"\"heads\":2"#, r#"\"heads\":5"#);
    assert!(load(&heads).contains("`sasrec.heads`"), "{}", load(&heads));
    let unknown = altered(&bytes, r#"\"heads\""#, r#"\"headz\""#);
    assert!(load(&unknown).contains("headz"), "{}", load(&unknown));
    for cut in [0, 7, 100, bytes.len() - 1] {
        load(&bytes[..cut]);
    }
    let bytes = retriever.to_bytes().unwrap();
    let deep = altered(&bytes, r#"\"depth_layers\":1"#, r#"\"depth_layers\":2"#);
    let error = Retriever::from_bytes(&device, &deep, &sids).unwrap_err().to_string();
    assert!(error.contains("do not hold the"), "{error}");
    let renamed = altered(&bytes, r#""bridge.bias""#, r#""bridge.bios""#);
    let error = Retriever::from_bytes(&device, &renamed, &sids).unwrap_err().to_string();
    assert!(error.contains("bridge.bios"), "{error}");
}
