//! tmp
mod common;
mod threads;
mod kill_resume;
mod leakage;
