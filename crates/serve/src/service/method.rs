//! What every method shares: who answers, what is counted, and what is repeated in shadow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Call, Service};
use tracing::Instrument;

use crate::artifact::Loaded;
use crate::error::{Kind, Refusal};
use crate::metrics::Ended;
use crate::registry::{Arm, Chosen};
use crate::trace;

/// How long a repetition in shadow may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// One thing that the service does, by one artifact from beginning to end.
pub trait Method: 'static {
    /// Its name in paths and metrics.
    const NAME: &'static str;
    /// Whether an artifact in shadow repeats it.
    const SHADOWED: bool = false;
    /// What is asked.
    type Request: Clone + Send + Sync + 'static;
    /// What is answered.
    type Answer: Clone + Send + Sync + 'static;

    /// For whom, if the request names a user.
    fn user(request: &Self::Request) -> Option<&str>;

    /// Rows asked for.
    fn rows(request: &Self::Request) -> usize;

    /// Answers by `chosen`.
    fn answer(
        service: &Service,
        chosen: &Chosen,
        deadline: Instant,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Answer, Refusal>> + Send;

    /// Whether two artifacts said the same.
    fn same(a: &Self::Answer, b: &Self::Answer) -> bool;
}

impl Service {
    /// Answers a request.
    pub async fn call<M: Method>(
        self: &Arc<Self>,
        call: Call<'_>,
        request: M::Request,
    ) -> Result<M::Answer, Refusal> {
        let started = Instant::now();
        let chosen = match call.version {
            None => self.registry.choose(M::user(&request).or(call.user)),
            Some(version) => self.registry.pinned(version).ok_or_else(|| {
                Refusal::new(Kind::NotFound, format!("version {version:?} is not served"))
            })?,
        };
        let rows = M::rows(&request);
        let repeat = (M::SHADOWED && chosen.shadow.is_some()).then(|| request.clone());
        let span = trace::request(M::NAME, call.transport, rows, call.trace);
        let answering = M::answer(self, &chosen, call.deadline, request);
        let answer = answering.instrument(span.clone()).await;
        let refused = answer.as_ref().err().map(|refusal| refusal.kind);
        let (arm, version) = (chosen.arm.name(), chosen.loaded.version());
        trace::ended(&span, refused, arm, version);
        self.metrics.ended(&Ended {
            method: M::NAME,
            transport: call.transport,
            code: refused.map_or("ok", Kind::name),
            arm,
            // What was asked for and refused is not work.
            rows: if refused.is_none() { rows } else { 0 },
            took: started.elapsed(),
        });
        let answer = answer?;
        if let (Some(shadow), Some(request)) = (chosen.shadow, repeat) {
            self.repeat::<M>(shadow, request, answer.clone());
        }
        Ok(answer)
    }

    /// Repeats a request with an artifact in shadow, if nothing else waits, and compares what it says.
    fn repeat<M: Method>(
        self: &Arc<Self>,
        shadow: Arc<Loaded>,
        request: M::Request,
        expected: M::Answer,
    ) {
        if self.batcher.waiting() > 0 {
            self.metrics.shadowed(M::NAME, "skipped");
            return;
        }
        let service = self.clone();
        tokio::spawn(async move {
            let chosen = Chosen { loaded: shadow, arm: Arm::Second, shadow: None };
            let deadline = Instant::now() + PATIENCE;
            let result = match M::answer(&service, &chosen, deadline, request).await {
                Ok(answer) if M::same(&answer, &expected) => "same",
                Ok(_) => "different",
                Err(_) => "failed",
            };
            service.metrics.shadowed(M::NAME, result);
        });
    }
}
