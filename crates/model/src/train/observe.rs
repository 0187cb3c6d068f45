//! What training tells the outside: plain records for logs, plots and bars.

use serde::Serialize;

use super::validate::Validation;

/// One optimizer step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// Steps before this one.
    pub step: u64,
    /// Epochs before this one.
    pub epoch: u64,
    /// The weighted sum that is minimised.
    pub loss: f32,
    /// Every term by name, unweighted.
    pub terms: Vec<(&'static str, f32)>,
    /// Norm of the whole gradient, before clipping.
    pub gradient_norm: f32,
    /// Learning rate of dense parameters.
    pub learning_rate: f32,
}

/// The end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochRecord {
    /// Steps so far.
    pub step: u64,
    /// Epochs before this one.
    pub epoch: u64,
    /// Codes moved because nothing used them, by user level.
    pub reset_codes_user: Vec<usize>,
    /// The same by item level.
    pub reset_codes_item: Vec<usize>,
    /// Retrieval on validation clicks, where there are any and codes are in use.
    pub validation: Option<Validation>,
}

/// How the loss terms pull on one group of parameters at one step, each by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradientRecord {
    /// Steps before this one.
    pub step: u64,
    /// The parameters: the first two parts of their names, e.g. `item.encoder`.
    pub group: String,
    /// The terms with a gradient there.
    pub terms: Vec<&'static str>,
    /// Norm of the gradient of each, as weighted in the loss.
    pub norms: Vec<f64>,
    /// Cosine between the gradients of each pair; a symmetric matrix with 1 on its diagonal.
    pub cosines: Vec<Vec<f64>>,
}

/// Receives records in order. After a resume, records from the resumed step on come again.
pub trait Observer {
    /// Training, or a stage of it, (re)starts at `step` of `total`; earlier records of later
    /// steps are void.
    fn start(&mut self, step: u64, total: u64) -> std::io::Result<()>;

    /// A step is done.
    fn step(&mut self, record: &StepRecord) -> std::io::Result<()>;

    /// An epoch is done.
    fn epoch(&mut self, record: &EpochRecord) -> std::io::Result<()>;

    /// A gradient report of the step that comes next, where `train.gradient_report_steps` asks
    /// for it: one record for each group of parameters that any term has a gradient on.
    fn gradients(&mut self, _record: &GradientRecord) -> std::io::Result<()> {
        Ok(())
    }

    /// A checkpoint of all steps so far comes next: a resumed run will not report them again.
    fn checkpoint(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    /// Something the user should know, such as a damaged checkpoint that was passed over.
    fn warn(&mut self, message: &str);
}

/// Drops everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn start(&mut self, _step: u64, _total: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn step(&mut self, _record: &StepRecord) -> std::io::Result<()> {
        Ok(())
    }

    fn epoch(&mut self, _record: &EpochRecord) -> std::io::Result<()> {
        Ok(())
    }

    fn warn(&mut self, _message: &str) {}
}
