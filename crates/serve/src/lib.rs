//! Serving an artifact: user and item IDs online, fresh, under load.
//!
//! [`Service`] answers requests and knows neither HTTP nor gRPC. It asks the [`registry`] which artifact
//! answers, looks IDs up in the mapped index of an [`artifact`] or in the store of entities that came
//! [`online`] after publication, and hands what must be computed to the [`batch`] workers.

pub mod admin;
pub mod artifact;
pub mod auth;
pub mod batch;
pub mod config;
pub mod error;
pub mod grpc;
pub mod http;
pub mod ids;
pub mod inference;
pub mod lists;
pub mod metrics;
pub mod online;
mod page;
pub mod pressure;
mod prompt;
pub mod queue;
pub mod rates;
pub mod registry;
pub mod run;
pub mod scan;
pub mod server;
pub mod service;
pub mod trace;
pub mod vectors;

pub use error::{Error, Result};
pub use run::{ServeConfig, run, stop_signal};
pub use service::Service;
