//! Optimizer and learning-rate schedule.

mod adamw;
mod schedule;
mod state;

pub use adamw::{AdamW, AdamWConfig, TableUpdate};
pub use schedule::Schedule;
