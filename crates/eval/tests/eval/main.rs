//! Inputs, ID files, records and whole comparisons, through the public interface.

mod common;
mod comparison;
mod external;
mod inputs;
mod leakage;
mod markdown;
mod records;
mod retrieval;
