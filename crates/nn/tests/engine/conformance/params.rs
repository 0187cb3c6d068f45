//! Named parameters.

use rstest_reuse::apply;

use super::every_device;
use das_nn::safetensors_io::{NamedTensor, TensorData};
use das_nn::{Device, Error, ParamKind, Params, Tensor};

fn example(device: &Device) -> Params {
    let mut params = Params::new(device);
    params.add("w", ParamKind::Dense, 2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    params.add("table", ParamKind::Table, 1, 2, &[7.0, 8.0]).unwrap();
    params
}

#[apply(every_device)]
fn names_kinds_and_values(device: Device) {
    let mut params = example(&device);
    let w = params.id("w").unwrap();
    let table = params.id("table").unwrap();
    assert_eq!((params.name(w), params.kind(table), params.len()), ("w", ParamKind::Table, 2));
    assert_eq!(params.ids().collect::<Vec<_>>(), [w, table]);
    assert!(params.id("other").is_none());
    params.set_row(w, 1, &[0.0; 3]);
    assert_eq!(params.get(w).to_vec(), [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]);
    params.set(w, &[9.0; 6]).unwrap();
    assert_eq!(params.get(w).to_vec(), [9.0; 6]);
}

#[apply(every_device)]
fn bad_values_are_refused(device: Device) {
    let mut params = example(&device);
    let w = params.id("w").unwrap();
    assert!(matches!(
        params.add("w", ParamKind::Dense, 1, 1, &[0.0]),
        Err(Error::DuplicateParam { .. })
    ));
    assert!(matches!(params.add("x", ParamKind::Dense, 2, 2, &[0.0]), Err(Error::Length { .. })));
    let huge = params.add("x", ParamKind::Dense, usize::MAX, 2, &[]);
    assert!(matches!(huge, Err(Error::Length { .. })));
    let nan = params.add("x", ParamKind::Dense, 1, 2, &[0.0, f32::NAN]);
    assert!(matches!(nan, Err(Error::NotFinite { index: 1, .. })));
    assert!(params.id("x").is_none());
    assert!(matches!(params.set(w, &[0.0]), Err(Error::Length { .. })));
}

#[apply(every_device)]
fn tensors_go_out_and_in(device: Device) {
    let (source, mut target) = (example(&device), example(&device));
    let (w, table) = (target.id("w").unwrap(), target.id("table").unwrap());
    target.set(w, &[0.0; 6]).unwrap();
    let mut tensors = source.to_tensors();
    tensors.reverse();
    tensors[0].shape = vec![2];
    target.load_tensors(&tensors).unwrap();
    assert_eq!(target.to_tensors(), source.to_tensors());
    assert_eq!(target.get(table).to_vec(), [7.0, 8.0]);
}

#[apply(every_device)]
fn tensors_that_do_not_fit_change_nothing(device: Device) {
    let mut params = example(&device);
    let good = params.to_tensors();
    let mut refuse = |change: &dyn Fn(&mut Vec<NamedTensor>)| {
        let mut bad = good.clone();
        bad[0].data = TensorData::F32(vec![0.0; 6]);
        change(&mut bad);
        let error = params.load_tensors(&bad).unwrap_err();
        assert_eq!(params.to_tensors(), good);
        error
    };
    let values = |values: &[f32]| TensorData::F32(values.to_vec());
    assert!(matches!(refuse(&|bad| drop(bad.pop())), Error::MissingTensor { .. }));
    assert!(matches!(refuse(&|bad| bad[1].name.push('y')), Error::UnexpectedTensor { .. }));
    assert!(matches!(refuse(&|bad| bad[1].shape.reverse()), Error::Shape { .. }));
    assert!(matches!(refuse(&|bad| bad[1].data = values(&[0.0])), Error::Length { .. }));
    assert!(matches!(
        refuse(&|bad| bad[1].data = values(&[1.0, f32::INFINITY])),
        Error::NotFinite { .. }
    ));
    let ids = || TensorData::U32(vec![1, 2]);
    assert!(matches!(refuse(&|bad| bad[1].data = ids()), Error::Dtype { .. }));
    assert!(matches!(refuse(&|bad| bad.push(bad[0].clone())), Error::DuplicateParam { .. }));
}

#[apply(every_device)]
fn tensors_copy_and_read(device: Device) {
    let tensor = Tensor::from_slice(&device, 2, 2, &[1.0, 2.0, 3.0, 4.0]);
    let copy = tensor.clone();
    drop(tensor);
    let mut out = [0.0; 4];
    copy.read_into(&mut out);
    assert_eq!(out, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!((copy.shape(), copy.len(), copy.is_empty()), ((2, 2), 4, false));
    assert_eq!(Tensor::zeros(copy.device(), 3, 1).to_vec(), [0.0; 3]);
    assert!(Tensor::zeros(&device, 0, 5).is_empty());
}
