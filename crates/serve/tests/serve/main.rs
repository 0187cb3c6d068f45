//! The service against artifacts whose codes are known beforehand.

mod browser;
mod common;
mod connections;
mod experiments;
mod grpc;
mod http;
mod lookups;
mod overload;
mod page;
mod reloads;
mod retrieval;
mod tls;
mod upserts;
