//! Encoding and retrieval in batches: requests that wait at the same time are worked on together.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use das_core::Side;
use tokio::sync::oneshot;
use tracing::Span;

use crate::artifact::{Found, Loaded};
use crate::error::{Error, Refusal, Result};
use crate::queue::{Queue, Rejected};
use crate::trace;

/// What a request wants computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Learned codes of content vectors, row-major.
    Vectors(Side, Vec<f32>),
    /// Learned codes of texts.
    Texts(Side, Vec<String>),
    /// The next items of histories, which are rows of the index of items.
    Retrieve {
        /// From the oldest item to the newest.
        histories: Vec<Vec<u32>>,
        /// How many items for each.
        k: usize,
        /// Whether items of the history are left out.
        exclude_seen: bool,
        /// How much wider the beam is for it, so that an answer does not depend on what else is worked on.
        room: usize,
    },
}

/// What came of a [`Task`].
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// Learned codes, `[rows, levels]`.
    Codes(Vec<u32>),
    /// Items of each history.
    Found(Vec<Vec<Found>>),
}

/// Threads that compute, and the queue before them.
#[derive(Debug)]
pub struct Batcher {
    queue: Arc<Queue<Job>>,
    /// The workers: pools of one thread, so that the kernels of a batch run on it and nowhere else.
    workers: Vec<rayon::ThreadPool>,
}

#[derive(Debug)]
struct Job {
    loaded: Arc<Loaded>,
    task: Task,
    deadline: Instant,
    reply: oneshot::Sender<Result<Done, Refusal>>,
    /// Of the request that waits for it.
    span: Span,
}

/// Jobs that are done in one call: the same artifact and kind of task.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Group {
    Vectors(Side),
    Texts(Side),
    Retrieve { k: usize, exclude_seen: bool, room: usize },
}

impl Task {
    /// Rows of work.
    pub fn rows(&self, loaded: &Loaded) -> usize {
        match self {
            Task::Vectors(side, values) => {
                values.len() / loaded.side(*side).map_or(1, |side| side.content_dim().max(1))
            }
            Task::Texts(_, texts) => texts.len(),
            Task::Retrieve { histories, .. } => histories.len(),
        }
    }

    fn group(&self) -> Group {
        match self {
            Task::Vectors(side, _) => Group::Vectors(*side),
            Task::Texts(side, _) => Group::Texts(*side),
            &Task::Retrieve { k, exclude_seen, room, .. } => {
                Group::Retrieve { k, exclude_seen, room }
            }
        }
    }
}

impl Batcher {
    /// Starts `threads` workers that take up to `batch` rows at a time; `capacity` rows may wait.
    pub fn start(threads: usize, batch: usize, capacity: usize) -> Result<Batcher> {
        let queue = Arc::new(Queue::new(capacity));
        let worker = |number: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .thread_name(move |_| format!("das-compute-{number}"))
                .build()
                .map_err(|error| Error::Invalid(format!("no thread: {error}")))?;
            let queue = queue.clone();
            pool.spawn(move || work(&queue, batch));
            Ok(pool)
        };
        let workers = (0..threads.max(1)).map(worker).collect::<Result<_>>()?;
        Ok(Batcher { queue, workers })
    }

    /// Rows that wait.
    pub fn waiting(&self) -> usize {
        self.queue.weight()
    }

    /// Computes `task` with `loaded`, unless too much waits already or `deadline` passes first. Dropping
    /// the future gives the work up if it has not begun.
    pub async fn run(
        &self,
        loaded: Arc<Loaded>,
        task: Task,
        deadline: Instant,
    ) -> Result<Done, Refusal> {
        let (reply, answer) = oneshot::channel();
        let rows = task.rows(&loaded).max(1);
        let job = Job { loaded, task, deadline, reply, span: Span::current() };
        self.queue.push(rows, job).map_err(|job| match job {
            Rejected::Full(_) => Refusal::overloaded("too much work is waiting; try again later"),
            Rejected::Closed(_) => Refusal::stopping(),
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(Refusal::internal("a worker gave up"))),
            Err(_) => Err(Refusal::late()),
        }
    }
}

impl Drop for Batcher {
    /// Workers finish what was taken, and end; the pools wait for nothing else.
    fn drop(&mut self) {
        self.queue.close();
        self.workers.clear();
    }
}

fn work(queue: &Queue<Job>, batch: usize) {
    while let Some(jobs) = queue.pop(batch) {
        let now = Instant::now();
        let mut groups: HashMap<(String, Group), Vec<Job>> = HashMap::new();
        for job in jobs {
            if job.reply.is_closed() {
                continue;
            }
            if job.deadline <= now {
                let _ = job.reply.send(Err(Refusal::late()));
                continue;
            }
            let key = (job.loaded.version().to_string(), job.task.group());
            groups.entry(key).or_default().push(job);
        }
        for ((_, group), jobs) in groups {
            answer(&group, jobs);
        }
    }
}

/// Does jobs of one group in one call. A panic answers them all, and the worker goes on.
fn answer(group: &Group, jobs: Vec<Job>) {
    let done = catch_unwind(AssertUnwindSafe(|| compute(group, &jobs)));
    let done = done.unwrap_or_else(|_| Err(Refusal::internal("a computation panicked")));
    match done {
        Ok(answers) => {
            for (Job { reply, span, .. }, answer) in jobs.into_iter().zip(answers) {
                // The span of the request is not to outlive its answer.
                drop(span);
                let _ = reply.send(Ok(answer));
            }
        }
        Err(refusal) => {
            for Job { reply, span, .. } in jobs {
                drop(span);
                let _ = reply.send(Err(refusal.clone()));
            }
        }
    }
}

fn compute(group: &Group, jobs: &[Job]) -> Result<Vec<Done>, Refusal> {
    let loaded = &*jobs[0].loaded;
    let rows: Vec<usize> = jobs.iter().map(|job| job.task.rows(loaded)).collect();
    let together = rows.iter().sum();
    let _spans: Vec<Span> = jobs.iter().map(|job| trace::compute(&job.span, together)).collect();
    match *group {
        Group::Vectors(side) => {
            let content: Vec<&[f32]> = jobs
                .iter()
                .filter_map(|job| match &job.task {
                    Task::Vectors(_, values) => Some(values.as_slice()),
                    _ => None,
                })
                .collect();
            match content.as_slice() {
                [one] => encode(loaded, side, one, &rows),
                many => encode(loaded, side, &many.concat(), &rows),
            }
        }
        Group::Texts(side) => {
            let texts = jobs.iter().filter_map(|job| match &job.task {
                Task::Texts(_, texts) => Some(texts),
                _ => None,
            });
            let texts: Vec<&str> = texts.flatten().map(String::as_str).collect();
            let served =
                loaded.side(side).ok_or_else(|| Refusal::internal("a side that is not there"))?;
            encode(loaded, side, &served.embed(&texts)?, &rows)
        }
        Group::Retrieve { k, exclude_seen, room } => {
            let retriever = loaded.retriever();
            let retriever =
                retriever.ok_or_else(|| Refusal::internal("a retriever that is not there"))?;
            let histories = jobs.iter().filter_map(|job| match &job.task {
                Task::Retrieve { histories, .. } => Some(histories),
                _ => None,
            });
            let histories: Vec<Vec<u32>> = histories.flatten().cloned().collect();
            let mut found = retriever.retrieve(&histories, k, exclude_seen, room)?.into_iter();
            Ok(rows.iter().map(|&rows| Done::Found(found.by_ref().take(rows).collect())).collect())
        }
    }
}

/// Codes of all content, dealt out to jobs of so many rows each.
fn encode(
    loaded: &Loaded,
    side: Side,
    content: &[f32],
    rows: &[usize],
) -> Result<Vec<Done>, Refusal> {
    let encoded = loaded.tokenizer().encode_rows(side, content).map_err(Refusal::internal)?;
    let levels = loaded.tokenizer().codebook_sizes(side).len();
    let mut codes = encoded.codes.as_slice();
    let deal = |&rows: &usize| {
        let (own, rest) = codes.split_at(rows * levels);
        codes = rest;
        Done::Codes(own.to_vec())
    };
    Ok(rows.iter().map(deal).collect())
}
