//! tmp
mod common;
mod threads;
