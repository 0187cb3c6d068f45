//! The service against artifacts whose codes are known beforehand.

mod common;
mod experiments;
mod http;
mod lookups;
mod overload;
mod reloads;
mod upserts;
