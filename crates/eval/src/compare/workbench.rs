//! Where a run gets its inputs and its tokenizer, and is done.

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Progress};
use das_core::sid::SidTable;
use das_core::{HeldOut, RowMatrix, Side};
use das_data::{CoClickConfig, DataSet, Part, TrainingClicks};
use das_nn::Device;
use das_recommend::ranker::BagField;

use super::plan::{IdSource, POPULARITY, SASREC, SID_ONLY};
use super::task_split::TaskSplit;
use crate::inputs::{CtrInputs, SequenceInputs};
use crate::presets::{Budget, Preset};
use crate::records::{Run, Task};
use crate::tasks::{
    Candidate, Context, CtrSids, IntrinsicInputs, Outcome, ctr, generative, intrinsic,
};
use crate::{Error, Result};

/// The semantic IDs of a method, in the order of the data set's entities.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Of items.
    pub item: SidTable,
    /// Of users, where the method has them.
    pub user: Option<SidTable>,
    /// Further codes of items for a ranker, where the method has them.
    pub item_bag: Option<BagField>,
    /// Seconds that training them took, also where they were at hand already.
    pub seconds: f64,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What the evaluation does not do itself: content and tokenizers. Workers call it at the same
/// time, but never for the same IDs.
pub trait Jobs: Sync {
    /// The IDs of `method` learned from the training part of `split` under `seed`: trained now,
    /// or taken from where an earlier call has kept them.
    fn tokens(
        &self,
        method: &str,
        split: TaskSplit,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Tokens, Box<dyn std::error::Error + Send + Sync>>;

    /// The items' content vectors, where they are to be held against the IDs.
    fn item_content(
        &self,
        split: TaskSplit,
    ) -> Result<Option<Box<dyn RowMatrix>>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Runs one run after another over one data set; prepared inputs are kept from one to the next of
/// the same split.
pub struct Workbench<'a> {
    data: &'a DataSet,
    preset: Preset,
    budget: Budget,
    device: &'a Device,
    jobs: &'a dyn Jobs,
    prepared: Option<Prepared>,
}

/// A split and what is made of it.
struct Prepared {
    task_split: TaskSplit,
    clicks: TrainingClicks,
    held_out: HeldOut,
    inputs: Inputs,
}

/// The inputs of the recommenders that a split is for.
enum Inputs {
    Sequences(Box<SequenceInputs>),
    Impressions(Box<CtrInputs>),
}

impl Prepared {
    fn new(data: &DataSet, task_split: TaskSplit, max_history: usize) -> Result<Prepared> {
        let split = task_split.of(data)?;
        let clicks = TrainingClicks::new(data, &split, CoClickConfig::default())?;
        let inputs = match task_split {
            TaskSplit::LeaveLastOut => {
                Inputs::Sequences(Box::new(SequenceInputs::new(data, &split, &clicks)?))
            }
            TaskSplit::ColdItems => {
                Inputs::Sequences(Box::new(SequenceInputs::cold(data, &split, &clicks)?))
            }
            TaskSplit::GlobalTime | TaskSplit::PerUserTime => {
                Inputs::Impressions(Box::new(CtrInputs::new(data, &split, max_history)?))
            }
            TaskSplit::PerUserTimeCold => {
                Inputs::Impressions(Box::new(CtrInputs::cold(data, &split, max_history)?))
            }
        };
        let held_out = clicks.held_out(data, &split, Part::Test);
        Ok(Prepared { task_split, clicks, held_out, inputs })
    }
}

impl<'a> Workbench<'a> {
    /// A workbench over `data` under `budget`, which is that of `preset`, changed perhaps.
    pub fn new(
        data: &'a DataSet,
        (preset, budget): (Preset, Budget),
        device: &'a Device,
        jobs: &'a dyn Jobs,
    ) -> Workbench<'a> {
        Workbench { data, preset, budget, device, jobs, prepared: None }
    }

    /// A workbench of the same kind that prepares inputs of its own.
    pub(super) fn another(&self) -> Workbench<'a> {
        Workbench { budget: self.budget.clone(), prepared: None, ..*self }
    }

    /// The name of the budget.
    pub fn preset(&self) -> &'static str {
        self.preset.name()
    }

    /// Does one run: prepares its inputs, gets its IDs, trains and measures. With a `store`, a
    /// recommender's training that was interrupted is continued.
    ///
    /// # Errors
    /// What the inputs, the [`Jobs`] or the task say.
    pub fn run(
        &mut self,
        run: &Run,
        store: Option<&CheckpointStore>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Outcome> {
        let ids = IdSource::of_run(run);
        let tokens = ids.map(|ids| self.tokens(&ids, cancel)).transpose()?;
        self.prepare(TaskSplit::of_run(run))?;
        let seed = run.recommender_seed();
        let context = Context { device: self.device, seed, store, progress, cancel };
        let mut outcome = self.measure(run, tokens.as_ref(), context)?;
        if let Some(tokens) = tokens {
            outcome.seconds.tokenizer = tokens.seconds;
            outcome.notes.extend(tokens.notes);
        }
        Ok(outcome)
    }

    /// Prepares the inputs of a split, unless they are those at hand.
    fn prepare(&mut self, task_split: TaskSplit) -> Result<()> {
        if self.prepared.as_ref().is_none_or(|prepared| prepared.task_split != task_split) {
            self.prepared = Some(Prepared::new(self.data, task_split, self.budget.ranker.history)?);
        }
        Ok(())
    }

    fn measure(&self, run: &Run, tokens: Option<&Tokens>, context: Context<'_>) -> Result<Outcome> {
        let prepared = self.prepared.as_ref().expect("prepared before it is measured");
        match (&prepared.inputs, run.task) {
            (_, Task::Intrinsic) => {
                let tokens = tokens.ok_or_else(|| no_ids(run))?;
                let content = self.jobs.item_content(prepared.task_split);
                let content = content.map_err(tokenizer_error(&run.method))?;
                let inputs = IntrinsicInputs {
                    clicks: &prepared.clicks,
                    held_out: &prepared.held_out,
                    content: content.as_deref(),
                };
                // The same samples under every seed: seeds differ in their IDs alone.
                intrinsic(&tokens.item, tokens.user.as_ref(), inputs, 0)
            }
            (Inputs::Sequences(inputs), _) => {
                let candidate = match (tokens, run.method.as_str()) {
                    (Some(tokens), _) => Candidate::Sids(&tokens.item),
                    (None, SASREC) => Candidate::SasRec,
                    (None, POPULARITY) => Candidate::Popularity,
                    _ => return Err(no_ids(run)),
                };
                generative(inputs, candidate, &self.budget, context)
            }
            (Inputs::Impressions(inputs), _) => {
                let sids = CtrSids {
                    item: tokens.map(|tokens| &tokens.item),
                    user: tokens.and_then(|tokens| tokens.user.as_ref()),
                    item_bag: tokens.and_then(|tokens| tokens.item_bag.as_ref()),
                };
                let mut config = self.budget.ranker.clone();
                config.use_item_ids = !run.variant.ends_with(SID_ONLY);
                ctr(inputs, sids, &config, context)
            }
        }
    }

    fn tokens(&self, ids: &IdSource, cancel: &Cancel) -> Result<Tokens> {
        let IdSource { method, split, seed } = ids;
        let tokens = self.jobs.tokens(method, *split, *seed, cancel);
        let tokens = tokens.map_err(tokenizer_error(method))?;
        let sides = [(Side::Item, Some(&tokens.item)), (Side::User, tokens.user.as_ref())];
        for (side, table) in sides.into_iter().filter_map(|(side, t)| Some((side, t?))) {
            let expected = self.data.table(side).len();
            if table.len() != expected {
                let found = table.len();
                return Err(Error::Invalid(format!(
                    "method `{method}`: {found} {side} IDs, expected {expected}"
                )));
            }
        }
        Ok(tokens)
    }
}

fn no_ids(run: &Run) -> Error {
    Error::Invalid(format!("{run}: the task needs semantic IDs, which the method has none of"))
}

fn tokenizer_error(method: &str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Error {
    let method = method.to_owned();
    move |source| Error::Tokenizer { method, source }
}
