//! The engine against plain references in double precision, and against PyTorch's values.

mod check;
mod conformance;
mod host;
