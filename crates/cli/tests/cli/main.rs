//! The `das` program from outside: commands, exit codes, messages and files.

mod bad_input;
mod bad_tables;
mod bench;
mod commands;
mod common;
mod compare;
mod content;
mod contrasts;
mod encode;
mod inspect;
mod kill_resume;
mod leakage;
mod objectives;
mod report;
mod serve;
mod threads;
mod views;
