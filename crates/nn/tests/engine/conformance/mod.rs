//! What every device has to do: each test takes one, and [`every_device`] says which there are.

mod adamw;
mod attention;
mod bce;
mod dropout;
mod golden;
mod inference;
mod info_nce;
mod layers;
mod log_probabilities;
mod ops;
mod params;
mod quantize;
mod softmax_ce;

use rstest_reuse::template;

/// The devices of this build. A new one is a case here, and all tests below hold for it.
#[template]
#[rstest::rstest]
#[case::cpu(das_nn::Device::cpu())]
pub(crate) fn every_device(#[case] device: das_nn::Device) {}
