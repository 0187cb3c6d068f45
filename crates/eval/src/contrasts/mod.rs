//! Claims about pairs of methods that were written down before the figures were known.
//!
//! [`Contrast`] is an entry of such a plan, [`findings`] holds all of them against the records of
//! comparisons, and [`table`] says in Markdown what came of them.

mod claim;
mod finding;
mod table;

pub use claim::{By, Claim, Contrast};
pub use finding::{Finding, Verdict, findings};
pub use table::table;

#[cfg(test)]
mod tests;
