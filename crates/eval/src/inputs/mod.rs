//! From a split data set to the plain rows that recommenders take.
//!
//! Everything that is learned from, and every history, holds training rows alone; the queries
//! and impressions of the other parts are what is asked, never what is known. One exception is
//! the protocol's own: the history of a generative test query has the validation clicks too.

mod fields;
mod impressions;
mod sequences;

pub(crate) use impressions::require_labels;
pub use impressions::{CtrInputs, Slice};
pub use sequences::{NUM_DECILES, Queries, SequenceInputs};
