//! The clients of remote servers, against a server in this process that fails on demand.

mod chat;
mod faults;
mod flow;
mod privacy;
mod server;
mod settings;
mod vectors;
