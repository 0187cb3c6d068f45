//! Methods × tasks × variants × seeds × repeats.

use std::collections::BTreeSet;
use std::str::FromStr;

use das_data::DataSet;

use super::task_split::{CTR_SPLITS, TaskSplit};
use crate::inputs;
use crate::records::{Record, Run, Task};
use crate::{Error, Result};

/// Retrieval by item IDs.
pub const SASREC: &str = "sasrec";
/// Retrieval of what is clicked most.
pub const POPULARITY: &str = "popularity";
/// The ranker without semantic IDs.
pub const NO_SID: &str = "no-sid";
/// Ends a `ctr` variant in which semantic IDs stand in for item IDs.
pub(super) const SID_ONLY: &str = "/sid-only";

/// What the semantic IDs of a run are: those of equal ones are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdSource {
    pub(super) method: String,
    pub(super) split: TaskSplit,
    pub(super) seed: u64,
}

impl IdSource {
    /// None where a run has none.
    pub(super) fn of_run(run: &Run) -> Option<IdSource> {
        match run.method.as_str() {
            SASREC | POPULARITY | NO_SID => None,
            method => {
                let (method, split) = (method.to_owned(), TaskSplit::of_run(run));
                Some(IdSource { method, split, seed: run.seed })
            }
        }
    }
}

/// What is to be measured: a task in all its variants, or in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    task: Task,
    variant: Option<String>,
}

impl Question {
    fn asks(&self, task: Task, variant: &str) -> bool {
        self.task == task && self.variant.as_deref().is_none_or(|own| own == variant)
    }
}

impl From<Task> for Question {
    fn from(task: Task) -> Question {
        Question { task, variant: None }
    }
}

impl FromStr for Question {
    type Err = Error;

    /// Reads `ctr`, or one variant of it as in `ctr/global-time`.
    fn from_str(text: &str) -> Result<Question> {
        let (task, variant) = match text.split_once('/') {
            Some((task, variant)) => (task, Some(variant.to_owned())),
            None => (text, None),
        };
        let question = Question { task: task.parse()?, variant };
        let known: BTreeSet<String> =
            variants(question.task, &["das".into()]).into_iter().map(|(_, own)| own).collect();
        if known.iter().any(|own| question.asks(question.task, own)) {
            return Ok(question);
        }
        let known: Vec<&str> = known.iter().map(String::as_str).filter(|v| !v.is_empty()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::Invalid(format!("unknown variant in `{text}`; those of `{task}`: {known}")))
    }
}

/// The runs of a comparison, in the order in which they are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    runs: Vec<Run>,
}

impl Plan {
    /// Every one of `methods` under each task and the seeds `0..seeds`, with the rows to compare
    /// with: `sasrec` and `popularity` in retrieval, `no-sid` in click prediction. Click
    /// prediction is run on both time splits, with semantic IDs beside item IDs and instead, and
    /// on the per-user split with cold items.
    /// Recommenders are trained `repeats` times on the IDs of a seed.
    ///
    /// The IDs of `fixed` methods are the same under every seed, so what is said of them by
    /// themselves is said once.
    ///
    /// One training of everything comes before the next, so that an interrupted comparison has
    /// something to say about every method; the repeats of a seed come before the next seed.
    pub fn new(
        methods: &[String],
        fixed: &[String],
        questions: &[Question],
        seeds: u64,
        repeats: u64,
    ) -> Plan {
        let mut runs = Vec::new();
        let mut seen = BTreeSet::new();
        for (seed, repeat) in (0..seeds).flat_map(|seed| (0..repeats).map(move |r| (seed, r))) {
            for task in Task::ALL {
                let asked = variants(task, methods).into_iter().filter(|(_, variant)| {
                    questions.iter().any(|question| question.asks(task, variant))
                });
                for (method, variant) in asked {
                    let run = Run { method, task, variant, seed, repeat };
                    if !is_said(&run, fixed) && seen.insert(run.clone()) {
                        runs.push(run);
                    }
                }
            }
        }
        Plan { runs }
    }

    /// All runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The runs that have no record among `done`.
    pub fn missing(&self, done: &[Record]) -> Vec<Run> {
        let done: BTreeSet<&Run> = done.iter().map(|record| &record.run).collect();
        self.runs.iter().filter(|run| !done.contains(run)).cloned().collect()
    }

    /// Refuses a data set that cannot serve some task, before hours go into the others.
    pub fn check(&self, data: &DataSet) -> Result<()> {
        if self.runs.iter().any(|run| run.task == Task::Ctr) {
            inputs::require_labels(data)?;
        }
        let splits: BTreeSet<TaskSplit> = self.runs.iter().map(TaskSplit::of_run).collect();
        splits.into_iter().try_for_each(|split| split.of(data).map(drop))
    }
}

/// Whether an earlier run says the same: nothing is random about counts, nor about given IDs by
/// themselves, and IDs by themselves have no recommender.
fn is_said(run: &Run, fixed: &[String]) -> bool {
    let intrinsic = run.task == Task::Intrinsic;
    let fixed = run.method == POPULARITY || (intrinsic && fixed.contains(&run.method));
    (fixed && run.seed > 0) || ((fixed || intrinsic) && run.repeat > 0)
}

fn variants(task: Task, methods: &[String]) -> Vec<(String, String)> {
    let own = methods.iter().map(String::as_str);
    let pair = |method: &str, variant: String| (method.to_owned(), variant);
    match task {
        Task::Intrinsic => own.map(|method| pair(method, String::new())).collect(),
        Task::Generative | Task::Cold => {
            own.chain([SASREC, POPULARITY]).map(|method| pair(method, String::new())).collect()
        }
        Task::Ctr => CTR_SPLITS
            .into_iter()
            .flat_map(|split| {
                let beside = own.clone().chain([NO_SID]);
                let beside = beside.map(move |method| pair(method, split.name().to_owned()));
                // An item ID says nothing of a cold item, so there is nothing to take its place.
                let instead = own.clone().filter(move |_| split.cold_items() == 0.0);
                let instead =
                    instead.map(move |method| pair(method, format!("{}{SID_ONLY}", split.name())));
                beside.chain(instead)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_of_a_task_or_of_one_of_its_variants() {
        let runs = |questions: &[&str]| -> Vec<String> {
            let questions: Vec<Question> = questions.iter().map(|q| q.parse().unwrap()).collect();
            let plan = Plan::new(&["das".to_owned()], &[], &questions, 1, 1);
            plan.runs().iter().map(Run::to_string).collect()
        };
        assert_eq!(
            runs(&["ctr/per-user-time"]),
            ["das, ctr/per-user-time, seed 0", "no-sid, ctr/per-user-time, seed 0"]
        );
        assert_eq!(
            runs(&["ctr/global-time/sid-only", "intrinsic"]),
            ["das, intrinsic, seed 0", "das, ctr/global-time/sid-only, seed 0"]
        );
        assert_eq!(runs(&["ctr"]).len(), 8);
        for (text, part) in [("ctr/time", "per-user-time/sid-only"), ("cold/x", "none")] {
            let error = text.parse::<Question>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_is_random_is_repeated_one_training_of_everything_after_another() {
        let (das, file) = ("das".to_owned(), "file".to_owned());
        let questions = ["intrinsic", "generative"].map(|text| text.parse().unwrap());
        let plan = Plan::new(&[das, file.clone()], &[file], &questions, 2, 2);
        let runs: Vec<String> = plan.runs().iter().map(Run::to_string).collect();
        let expected = [
            "das, intrinsic, seed 0",
            "file, intrinsic, seed 0",
            "das, generative, seed 0",
            "file, generative, seed 0",
            "sasrec, generative, seed 0",
            "popularity, generative, seed 0",
            "das, generative, seed 0, repeat 1",
            "file, generative, seed 0, repeat 1",
            "sasrec, generative, seed 0, repeat 1",
            "das, intrinsic, seed 1",
            "das, generative, seed 1",
            "file, generative, seed 1",
            "sasrec, generative, seed 1",
            "das, generative, seed 1, repeat 1",
            "file, generative, seed 1, repeat 1",
            "sasrec, generative, seed 1, repeat 1",
        ];
        assert_eq!(runs, expected);
        let seeds: BTreeSet<u64> = plan.runs().iter().map(Run::recommender_seed).collect();
        assert_eq!(seeds.len(), 4, "one for each seed and repeat: {seeds:?}");
        assert!(seeds.contains(&0) && seeds.contains(&1), "repeat 0 has the tokenizer's");
    }
}
