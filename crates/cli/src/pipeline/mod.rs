//! From a data-set folder to a published artifact, as the commands put it together.

mod attach;
mod comparison;
mod content;
mod describe;
mod embedders;
mod fit;
mod intrinsics;
mod prepare;
mod publish;
mod texts;
mod train_run;
mod views;

pub use attach::{PublishedRun, vq_field};
pub use comparison::{Candidate, Source, Tokenizers};
pub use content::{SideVectors, embed_data, vectors};
pub use describe::{Written, describe_sides, describe_table};
pub use embedders::reopen;
pub use fit::{Fitted, fit};
pub use intrinsics::{Behaviour, InspectReport, SideReport};
pub use prepare::{Prepared, TRAINING_ROWS};
pub use publish::publish;
pub use texts::lone_texts;
pub use train_run::{Seconds, SharedContent, TrainRun};
pub use views::{View, embed_texts, views_of_table};

use das_core::progress::Cancel;

use crate::observe::Bars;

/// What every long step of a pipeline is given.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where progress is shown.
    pub bars: &'a Bars,
    /// Whether to stop.
    pub cancel: &'a Cancel,
}
