//! Entities that came after publication: durable IDs beside the immutable artifact.
//!
//! [`Store`] is one file that survives a crash at any point. It keeps what each entity was encoded from,
//! and its ID in every ID space that was served lately. [`Committer`] is its only writer: it gives out
//! IDs under the artifact's collision policy, many requests in one durable transaction, carries
//! entities over into the space of an artifact before that is served, and forgets spaces that were long not.

mod assign;
mod carry;
mod commit;
mod content;
mod export;
mod give;
mod keys;
mod retire;
mod store;

pub use carry::CarriedOver;
pub use commit::{Committer, Status, Upserted};
pub use content::Content;
pub use export::export;
pub use store::{Entries, Later, Store};
