use std::fs;
use std::path::Path;

use das_core::sid::SidTable;
use das_nn::Device;
use das_nn::safetensors_io::{self, NamedTensor, TensorData};
use das_recommend::generative::Seen;
use das_recommend::yardstick::SearchYardstick;
use tempfile::TempDir;

use super::common::assert_close;
use super::naive::Weights;
use super::retriever::{naive_scores, small};

/// Columns of the padded histories.
const LENGTH: usize = 12;

fn matrix(name: &str, shape: [usize; 2], values: Vec<i64>) -> NamedTensor {
    NamedTensor { name: name.into(), shape: shape.into(), data: TensorData::I64(values) }
}

fn sids_of(table: &SidTable) -> NamedTensor {
    let codes = table.codes().iter().map(|&code| code.into()).collect();
    matrix("sids", [table.len(), table.layout().num_digits()], codes)
}

fn padded(histories: &[Vec<u32>]) -> NamedTensor {
    let row = |history: &Vec<u32>| -> Vec<i64> {
        let padding = std::iter::repeat_n(-1, LENGTH - history.len());
        padding.chain(history.iter().map(|&item| item.into())).collect()
    };
    matrix("histories", [histories.len(), LENGTH], histories.iter().flat_map(row).collect())
}

fn write_queries(folder: &Path, tensors: &[NamedTensor]) {
    let bytes = safetensors_io::to_bytes(tensors, &Default::default()).unwrap();
    fs::write(folder.join("queries.safetensors"), bytes).unwrap();
}

#[test]
fn a_loaded_yardstick_gives_what_a_naive_network_gives() {
    let (model, sids, histories) = small(true);
    let (folder, bytes) = (TempDir::new().unwrap(), model.to_bytes().unwrap());
    fs::write(folder.path().join("retriever.safetensors"), &bytes).unwrap();
    write_queries(folder.path(), &[sids_of(&sids), padded(&histories)]);
    let yardstick = SearchYardstick::load(folder.path(), &Device::cpu()).unwrap();
    assert_eq!(yardstick.histories(0), histories);
    assert_eq!(yardstick.histories(5), [0, 2, 4, 6, 8].map(|at| &histories[at][..]));

    let leaves = yardstick.retriever().trie().num_leaves();
    let answers =
        yardstick.retriever().beam_search(&yardstick.histories(0), leaves, leaves, Seen::Included);
    let weights = Weights::of(&bytes);
    for (history, found) in histories.iter().zip(answers.unwrap()) {
        let naive = naive_scores(&weights, model.config(), &sids, history);
        assert_eq!(found.len(), naive.len());
        for one in found {
            let codes = sids.row(one.items[0] as usize);
            assert_close(&[one.log_probability], &[naive[codes]], 1e-4);
        }
    }
}

#[test]
fn queries_that_do_not_fit_are_refused_by_name() {
    let (model, sids, histories) = small(true);
    let folder = TempDir::new().unwrap();
    let refused = |tensors: &[NamedTensor], parts: &[&str]| {
        write_queries(folder.path(), tensors);
        let error = SearchYardstick::load(folder.path(), &Device::cpu()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let good = || (sids_of(&sids), padded(&histories));
    refused(&[good().0, good().1], &["retriever.safetensors"]);
    let weights = folder.path().join("retriever.safetensors");
    fs::write(&weights, model.to_bytes().unwrap()).unwrap();
    refused(&[good().0], &["queries.safetensors", "`histories`", "missing"]);
    let odd = matrix("sids", [12, 2], vec![0; 24]);
    refused(&[odd, good().1], &["queries.safetensors", "`sids`: 2 digits", "has 3"]);
    let large = matrix("sids", [2, 3], vec![0, 0, 0, 0, 3, 0]);
    refused(&[large, good().1], &["`sids`: row 1: digit 1 is 3, expected less than 3"]);
    let negative = matrix("sids", [2, 3], vec![0, 0, 0, 0, -3, 0]);
    refused(&[negative, good().1], &["`sids`: row 1", "from 0, found -3"]);
    let late = matrix("histories", [2, 2], vec![-1, 4, 4, -1]);
    refused(&[good().0, late], &["`histories`: user 1", "padding"]);
    let unknown = matrix("histories", [1, 2], vec![4, 99]);
    refused(&[good().0, unknown], &["`histories`: user 0: item 99, expected less than 24"]);
    fs::write(&weights, b"not a model").unwrap();
    refused(&[good().0, good().1], &["retriever.safetensors"]);
}
