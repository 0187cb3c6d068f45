//! The service against artifacts whose codes are known beforehand.

mod common;
mod experiments;
mod grpc;
mod http;
mod lookups;
mod overload;
mod reloads;
mod tls;
mod upserts;
