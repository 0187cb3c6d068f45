//! The only writer of the store: gives out IDs, many requests in one durable transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use das_core::Side;
use redb::WriteTransaction;
use serde::Serialize;
use tokio::sync::oneshot;

use super::carry::{CarriedOver, carry_over, check};
use super::content::Content;
use super::give::spaces;
use super::retire::retire;
use super::store::Store;
use crate::artifact::Loaded;
use crate::error::{Error, Refusal, Result};
use crate::queue::{Queue, Rejected};

/// Most rows of one transaction.
const BATCH_ROWS: usize = 4096;

/// Gives out IDs to new entities on a thread of its own.
#[derive(Debug)]
pub struct Committer {
    store: Arc<Store>,
    queue: Arc<Queue<Message>>,
    healthy: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A queue that takes nothing more once nobody takes from it: whoever waits is told so, whatever ended the thread.
struct Abandoning<'a>(&'a Queue<Message>);

impl Drop for Abandoning<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What came of a new entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upserted {
    /// Its ID.
    pub codes: Vec<u32>,
    /// Whether it had it before.
    pub status: Status,
}

/// Where an ID comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The artifact was published with it.
    Published,
    /// It was given out earlier by this service.
    Known,
    /// It is given out now, and durable.
    New,
}

impl Status {
    /// Every one.
    pub const ALL: [Status; 3] = [Status::Published, Status::Known, Status::New];

    /// The name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Status::Published => "published",
            Status::Known => "known",
            Status::New => "new",
        }
    }
}

#[derive(Debug)]
enum Message {
    Upsert(Upsert),
    Activate(Vec<Arc<Loaded>>, oneshot::Sender<Result<Vec<CarriedOver>>>),
    Deactivate(Arc<Loaded>),
}

#[derive(Debug)]
struct Upsert {
    side: Side,
    rows: Vec<(String, Content)>,
    answer_for: Arc<Loaded>,
    deadline: Instant,
    reply: oneshot::Sender<Result<Vec<Upserted>, Refusal>>,
}

impl Committer {
    /// Starts the thread. `capacity` is the number of rows that may wait.
    pub fn start(store: Arc<Store>, capacity: usize) -> Result<Committer> {
        let queue = Arc::new(Queue::new(capacity));
        let healthy = Arc::new(AtomicBool::new(true));
        let work = Work { store: store.clone(), active: Vec::new(), healthy: healthy.clone() };
        let thread = {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name("das-upserts".into());
            thread.spawn(move || {
                let queue = Abandoning(&queue);
                work.run(queue.0);
            })
        };
        let thread = thread.map_err(|error| Error::Invalid(format!("no thread: {error}")))?;
        Ok(Committer { store, queue, healthy, thread: Some(thread) })
    }

    /// What is stored.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Rows that wait.
    pub fn waiting(&self) -> usize {
        self.queue.weight()
    }

    /// Whether new entities get IDs: the thread lives, and the store took what it was given last.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
            && !self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Gives every entity an ID in all spaces that are served and answers with that of
    /// `answer_for`, once it is durable. Ids are spelled as that artifact spells them.
    pub async fn upsert(
        &self,
        side: Side,
        rows: Vec<(String, Content)>,
        answer_for: Arc<Loaded>,
        deadline: Instant,
    ) -> Result<Vec<Upserted>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let weight = rows.len();
        let message = Message::Upsert(Upsert { side, rows, answer_for, deadline, reply });
        self.queue.push(weight, message).map_err(rejected)?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(Refusal::stopping())),
            Err(_) => Err(Refusal::late()),
        }
    }

    /// Makes the store ready for artifacts: every entity is given an ID in their spaces, and from then on
    /// new ones are too.
    ///
    /// # Errors
    /// An artifact that gives an entity another ID than it was given here in the same space, or its ID
    /// to another entity; nothing is given out for any of them then.
    pub async fn activate(&self, loaded: Vec<Arc<Loaded>>) -> Result<Vec<CarriedOver>> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Invalid("the service is stopping".into());
        self.queue.push(0, Message::Activate(loaded, reply)).map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Stops giving out IDs in the space of an artifact that is served no more.
    pub fn deactivate(&self, loaded: Arc<Loaded>) {
        // A queue that takes nothing more gives out nothing more.
        let _ = self.queue.push(0, Message::Deactivate(loaded));
    }
}

impl Drop for Committer {
    /// Finishes what was taken.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn rejected(rejected: Rejected<Message>) -> Refusal {
    match rejected {
        Rejected::Full(_) => Refusal::overloaded("too many new entities wait for their IDs"),
        Rejected::Closed(_) => Refusal::stopping(),
    }
}

/// What the thread owns.
struct Work {
    store: Arc<Store>,
    /// Every artifact in whose space IDs are given out.
    active: Vec<Arc<Loaded>>,
    /// Whether the store took what it was given last.
    healthy: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, queue: &Queue<Message>) {
        while let Some(messages) = queue.pop(BATCH_ROWS) {
            let mut upserts = Vec::new();
            for message in messages {
                match message {
                    Message::Upsert(upsert) => upserts.push(upsert),
                    Message::Activate(loaded, reply) => {
                        self.commit(std::mem::take(&mut upserts));
                        let _ = reply.send(self.activate(loaded));
                    }
                    Message::Deactivate(dropped) => {
                        self.commit(std::mem::take(&mut upserts));
                        self.active.retain(|loaded| !Arc::ptr_eq(loaded, &dropped));
                    }
                }
            }
            self.commit(upserts);
        }
    }

    /// Answers requests, all in one transaction.
    fn commit(&self, upserts: Vec<Upsert>) {
        let now = Instant::now();
        // Whose client has gone needs nothing; whose time is up is told so.
        let (upserts, late): (Vec<Upsert>, Vec<Upsert>) = upserts
            .into_iter()
            .filter(|upsert| !upsert.reply.is_closed())
            .partition(|upsert| upsert.deadline > now);
        for upsert in late {
            let _ = upsert.reply.send(Err(Refusal::late()));
        }
        if upserts.is_empty() {
            return;
        }
        let done = self.transact(&upserts);
        self.healthy.store(done.is_ok(), Ordering::Relaxed);
        match done {
            Ok(answers) => {
                for (upsert, answer) in upserts.into_iter().zip(answers) {
                    let _ = upsert.reply.send(answer);
                }
            }
            Err(error) => {
                let refusal = Refusal::internal(error);
                for upsert in upserts {
                    let _ = upsert.reply.send(Err(refusal.clone()));
                }
            }
        }
    }

    fn transact(&self, upserts: &[Upsert]) -> Result<Vec<Result<Vec<Upserted>, Refusal>>> {
        let transaction = self.store.write()?;
        let served = upserts.iter().map(|upsert| &upsert.answer_for);
        let spaces = spaces(self.active.iter().chain(served).map(|loaded| &**loaded));
        let mut answers = vec![Err(cannot_encode()); upserts.len()];
        for side in Side::BOTH {
            let of_side: Vec<usize> =
                (0..upserts.len()).filter(|&at| upserts[at].side == side).collect();
            let rows: Vec<(&str, &Content)> = of_side
                .iter()
                .flat_map(|&at| upserts[at].rows.iter().map(|(id, content)| (&**id, content)))
                .collect();
            if rows.is_empty() {
                continue;
            }
            self.keep_content(&transaction, side, &rows)?;
            for space in &spaces {
                let mut given = space.give(&self.store, &transaction, side, &rows)?.into_iter();
                for &at in &of_side {
                    let own: Option<Vec<Upserted>> =
                        given.by_ref().take(upserts[at].rows.len()).collect();
                    if let Some(own) = own.filter(|_| space.is_of(&upserts[at].answer_for)) {
                        answers[at] = Ok(own);
                    }
                }
            }
        }
        transaction.commit().map_err(|error| self.store.fault(error))?;
        Ok(answers)
    }

    /// Content as it was sent last, for artifacts to come.
    fn keep_content(
        &self,
        transaction: &WriteTransaction,
        side: Side,
        rows: &[(&str, &Content)],
    ) -> Result<()> {
        let mut contents = self.store.content_table(transaction, side)?;
        for (id, content) in rows {
            let bytes = content.to_bytes();
            let inserted = contents.insert(id.as_bytes(), bytes.as_slice());
            inserted.map_err(|error| self.store.fault(error))?;
        }
        Ok(())
    }

    fn activate(&mut self, artifacts: Vec<Arc<Loaded>>) -> Result<Vec<CarriedOver>> {
        artifacts.iter().try_for_each(|loaded| check(&self.store, loaded))?;
        // Each is beside all others, so that none is given what another was published with.
        let mut active = self.active.clone();
        for loaded in &artifacts {
            if !active.iter().any(|active| Arc::ptr_eq(active, loaded)) {
                active.push(loaded.clone());
            }
        }
        let carried = artifacts.iter().map(|loaded| carry_over(&self.store, loaded, &active));
        let carried = carried.collect::<Result<_>>()?;
        let served: Vec<&str> = spaces(active.iter().map(|loaded| &**loaded))
            .iter()
            .map(|space| space.name())
            .collect();
        for space in retire(&self.store, &served)? {
            tracing::info!(space, "IDs given out in an ID space that was long not served are gone");
        }
        self.active = active;
        Ok(carried)
    }
}

fn cannot_encode() -> Refusal {
    Refusal::invalid("the content of an entity could not be embedded")
}
