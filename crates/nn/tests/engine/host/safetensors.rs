//! The tensor format: round trips, and bytes that nobody should trust.

use std::collections::BTreeMap;

use das_nn::Error;
use das_nn::safetensors_io::{NamedTensor, TensorData, from_bytes, to_bytes};
use rand::Rng;

use crate::check::{rng, uniform};

fn tensor(name: &str, shape: &[usize], data: TensorData) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: shape.to_vec(), data }
}

fn example() -> (Vec<NamedTensor>, BTreeMap<String, String>) {
    let mut rng = rng(81);
    let tensors = vec![
        tensor("weights/a", &[3, 2], TensorData::F32(uniform(6, &mut rng))),
        tensor("ids", &[4], TensorData::I64(vec![i64::MIN, -1, 0, i64::MAX])),
        tensor("counts \"quoted\" ü", &[1, 3], TensorData::U32(vec![0, 1, u32::MAX])),
        tensor("scalar", &[], TensorData::F32(vec![-0.0])),
        tensor("empty", &[0, 7], TensorData::U32(vec![])),
    ];
    let metadata = [("format", "das"), ("note", "a \"b\"\n")];
    (tensors, metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
}

#[test]
fn round_trip() {
    let (tensors, metadata) = example();
    let bytes = to_bytes(&tensors, &metadata).unwrap();
    assert_eq!(bytes, to_bytes(&tensors, &metadata).unwrap(), "the same bytes every time");
    let mut contents = from_bytes(&bytes).unwrap();
    assert_eq!(contents.metadata, metadata);
    let by_name = |tensors: &mut Vec<NamedTensor>| tensors.sort_by(|p, q| p.name.cmp(&q.name));
    let mut expected = tensors;
    by_name(&mut expected);
    by_name(&mut contents.tensors);
    assert_eq!(contents.tensors, expected);
    let nothing = from_bytes(&to_bytes(&[], &BTreeMap::new()).unwrap()).unwrap();
    assert!(nothing.tensors.is_empty() && nothing.metadata.is_empty());
}

#[test]
fn tensors_that_do_not_add_up_are_not_written() {
    let write = |tensors: &[NamedTensor]| to_bytes(tensors, &BTreeMap::new());
    let one = || TensorData::F32(vec![1.0]);
    assert!(write(&[tensor("a", &[2], one())]).is_err());
    assert!(write(&[tensor("a", &[usize::MAX, 2], one())]).is_err());
    assert!(write(&[tensor("a", &[1], one()), tensor("a", &[1], one())]).is_err());
    assert!(write(&[tensor("__metadata__", &[1], one())]).is_err());
    let nan = write(&[tensor("a", &[1], TensorData::F32(vec![f32::NAN]))]);
    assert!(matches!(nan, Err(Error::NotFinite { .. })));
}

/// A file with the given header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

#[test]
fn hostile_headers_are_refused() {
    let f32_of = |shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let good = file(&f32_of("[2]", "[0,8]"), &[0; 8]);
    assert_eq!(from_bytes(&good).unwrap().tensors[0].data, TensorData::F32(vec![0.0; 2]));
    let bad = [
        vec![],
        vec![0; 7],
        u64::MAX.to_le_bytes().to_vec(),
        99_999_999u64.to_le_bytes().to_vec(),
        file("", &[]),
        file("[]", &[]),
        file("{\"a\":", &[]),
        file("{\"a\":3}", &[]),
        file(&f32_of("[3]", "[0,8]"), &[0; 8]),
        file(&f32_of("[2]", "[0,8]"), &[0; 7]),
        file(&f32_of("[2]", "[0,8]"), &[0; 9]),
        file(&f32_of("[2]", "[8,0]"), &[0; 8]),
        file(&f32_of("[2]", "[4,12]"), &[0; 12]),
        file(&f32_of("[-2]", "[0,8]"), &[0; 8]),
        file(&f32_of("[4611686018427387904,4]", "[0,0]"), &[]),
        file(&f32_of("[18446744073709551615,2]", "[0,8]"), &[0; 8]),
        file(&f32_of("[2]", "[0,18446744073709551615]"), &[0; 8]),
        file(&f32_of("[2]", "[0,8]").replace("F32", "BF16"), &[0; 8]),
        file(&f32_of("[2]", "[0,8]").replace("F32", "what"), &[0; 8]),
        file(&f32_of("[1]", "[0,4]"), &f32::NAN.to_le_bytes()),
    ];
    for (case, bytes) in bad.iter().enumerate() {
        assert!(from_bytes(bytes).is_err(), "case {case}");
    }
    let f64_file = file(&f32_of("[1]", "[0,8]").replace("F32", "F64"), &[0; 8]);
    assert!(matches!(from_bytes(&f64_file), Err(Error::Dtype { .. })));
}

#[test]
fn truncated_files_are_refused() {
    let (tensors, metadata) = example();
    let bytes = to_bytes(&tensors, &metadata).unwrap();
    for end in 0..bytes.len() {
        assert!(from_bytes(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let (tensors, metadata) = example();
    let bytes = to_bytes(&tensors, &metadata).unwrap();
    let mut rng = rng(82);
    for _ in 0..5000 {
        let mut bad = bytes.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bad.len());
            bad[at] ^= 1 << rng.random_range(0..8);
        }
        if let Ok(contents) = from_bytes(&bad) {
            for NamedTensor { shape, data, .. } in contents.tensors {
                assert_eq!(shape.iter().product::<usize>(), data.len());
            }
        }
    }
}
