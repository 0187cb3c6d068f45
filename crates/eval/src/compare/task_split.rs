//! Which split a task is run on.

use das_data::{DataSet, Split, SplitKind};

use crate::Result;
use crate::records::{Run, Task};

/// Share of the items that splits with cold items hold out.
const COLD_SHARE: f64 = 0.05;

/// The splits of click prediction.
pub(super) const CTR_SPLITS: [TaskSplit; 3] =
    [TaskSplit::GlobalTime, TaskSplit::PerUserTime, TaskSplit::PerUserTimeCold];

/// The split that a task, and with it its tokenizers, is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskSplit {
    /// Each user's last click is test.
    LeaveLastOut,
    /// The same, with a twentieth of the items held out altogether.
    ColdItems,
    /// By time over the whole log.
    GlobalTime,
    /// By time for each user.
    PerUserTime,
    /// The same, with a twentieth of the items held out altogether.
    PerUserTimeCold,
}

impl TaskSplit {
    /// The name in folders and, for `ctr`, in variants.
    pub fn name(self) -> &'static str {
        match self {
            TaskSplit::ColdItems => "cold-items",
            TaskSplit::PerUserTimeCold => "per-user-time-cold",
            other => other.kind().name(),
        }
    }

    /// Share of the items held out altogether; 0 on most splits.
    pub fn cold_items(self) -> f64 {
        match self {
            TaskSplit::ColdItems | TaskSplit::PerUserTimeCold => COLD_SHARE,
            TaskSplit::LeaveLastOut | TaskSplit::GlobalTime | TaskSplit::PerUserTime => 0.0,
        }
    }

    /// How rows that are not of such items are dealt out.
    pub fn kind(self) -> SplitKind {
        match self {
            TaskSplit::LeaveLastOut | TaskSplit::ColdItems => SplitKind::LeaveLastOut,
            TaskSplit::GlobalTime => SplitKind::GlobalTime,
            TaskSplit::PerUserTime | TaskSplit::PerUserTimeCold => SplitKind::PerUserTime,
        }
    }

    /// The split of `data`. The cold items are the same under every seed of a run, so that
    /// seeds differ in training and not in what is asked.
    pub fn of(self, data: &DataSet) -> Result<Split> {
        Ok(match self.cold_items() {
            0.0 => Split::new(data, self.kind())?,
            share => Split::with_cold_items(data, self.kind(), share, 0)?,
        })
    }

    /// The split of a run.
    pub fn of_run(run: &Run) -> TaskSplit {
        match run.task {
            Task::Intrinsic | Task::Generative => TaskSplit::LeaveLastOut,
            Task::Cold => TaskSplit::ColdItems,
            Task::Ctr => {
                let of = |split: &TaskSplit| run.variant.split('/').next() == Some(split.name());
                CTR_SPLITS.into_iter().find(of).unwrap_or(TaskSplit::PerUserTime)
            }
        }
    }
}
