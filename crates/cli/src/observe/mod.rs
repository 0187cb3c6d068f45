//! Where the progress of training goes: a bar, `metrics.jsonl` and TensorBoard.

mod bar;
mod jsonl;
mod tensorboard;

pub use bar::Bars;
use das_core::progress::Progress as _;
use das_model::train::{EpochRecord, GradientRecord, Observer, StepRecord};
pub use jsonl::MetricsFile;
pub use tensorboard::EventFile;

/// Shows training on the bar alone.
pub struct ProgressOnly<'a> {
    bars: &'a Bars,
    loss: f32,
}

impl<'a> ProgressOnly<'a> {
    /// Draws on `bars`.
    pub fn new(bars: &'a Bars) -> ProgressOnly<'a> {
        ProgressOnly { bars, loss: f32::NAN }
    }
}

impl Observer for ProgressOnly<'_> {
    fn start(&mut self, step: u64, total: u64) -> std::io::Result<()> {
        self.bars.start("training", Some(total), step);
        Ok(())
    }

    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        // A slowly moving mean reads better than single batches.
        let mean = if self.loss.is_nan() { record.loss } else { self.loss };
        self.loss = 0.95 * mean + 0.05 * record.loss;
        self.bars.advance(record.step + 1, &format!("loss {:.3}", self.loss));
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord) -> std::io::Result<()> {
        if let Some(found) = record.validation {
            let epoch = record.epoch + 1;
            self.bars.note(&format!("epoch {epoch}: validation recall@50 {:.4}", found.recall_50));
        }
        Ok(())
    }

    fn warn(&mut self, message: &str) {
        self.bars.warn(message);
    }
}

/// Passes records to the bar and the logs.
pub struct TrainingLog<'a> {
    shown: ProgressOnly<'a>,
    metrics: MetricsFile,
    gradients: Option<MetricsFile>,
    events: EventFile,
}

impl<'a> TrainingLog<'a> {
    /// Joins them; `gradients` takes the gradient reports, where there are to be any.
    pub fn new(
        bars: &'a Bars,
        metrics: MetricsFile,
        gradients: Option<MetricsFile>,
        events: EventFile,
    ) -> TrainingLog<'a> {
        TrainingLog { shown: ProgressOnly::new(bars), metrics, gradients, events }
    }
}

impl Observer for TrainingLog<'_> {
    fn start(&mut self, step: u64, total: u64) -> std::io::Result<()> {
        self.shown.start(step, total)?;
        self.metrics.rewind(step)?;
        self.gradients.as_mut().map_or(Ok(()), |file| file.rewind(step))?;
        self.events.start(step)
    }

    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.shown.step(record)?;
        self.metrics.step(record)?;
        self.events.step(record)
    }

    fn epoch(&mut self, record: &EpochRecord) -> std::io::Result<()> {
        self.shown.epoch(record)?;
        self.metrics.epoch(record)?;
        self.events.epoch(record)
    }

    fn gradients(&mut self, record: &GradientRecord) -> std::io::Result<()> {
        self.gradients.as_mut().map_or(Ok(()), |file| file.gradients(record))
    }

    fn checkpoint(&mut self) -> std::io::Result<()> {
        self.metrics.sync()?;
        self.gradients.as_mut().map_or(Ok(()), MetricsFile::sync)?;
        self.events.flush()
    }

    fn warn(&mut self, message: &str) {
        self.shown.warn(message);
    }
}
