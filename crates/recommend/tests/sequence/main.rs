//! The sequence models and their training, against naive code and planted truth.

mod common;
mod fitting;
mod naive;
mod retriever;
mod sasrec;
mod stored;
mod yardstick;
