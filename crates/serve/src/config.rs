//! Limits of the service.

use std::time::Duration;

/// How much a request may ask for, and how much may wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Rows of one encode or upsert.
    pub batch_rows: usize,
    /// Ids of one lookup.
    pub lookup_ids: usize,
    /// Bytes of one text.
    pub text_bytes: usize,
    /// Items of one page, of neighbours and of a retrieval.
    pub page_items: usize,
    /// Histories of one retrieval.
    pub histories: usize,
    /// Bytes of a body as sent.
    pub body_bytes: usize,
    /// Bytes of a body once unpacked.
    pub unpacked_bytes: usize,
    /// Bytes of all bodies that have arrived, as far as they have, and are not answered yet.
    pub bodies_bytes: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Requests that are worked on at a time; more are refused at once.
    pub requests: usize,
    /// Rows that may wait to be computed.
    pub queue_rows: usize,
    /// How long work may wait for a thread. If most of it waits longer, more arrives than can be answered, and of
    /// requests that cost many times their refusal only a few are worked on at a time.
    pub thread_wait: Duration,
    /// How long a request may take that says nothing of it.
    pub timeout: Duration,
    /// The longest time that a request may ask for.
    pub max_timeout: Duration,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// How long a service that is asked to stop goes on as before, but for saying that it is not ready: time for
    /// a load balancer to send its clients elsewhere.
    pub leave: Duration,
    /// How long a stopping service works on what it has admitted.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            batch_rows: 1024,
            lookup_ids: 10_000,
            text_bytes: 32 << 10,
            page_items: 1000,
            histories: 64,
            body_bytes: 16 << 20,
            unpacked_bytes: 32 << 20,
            bodies_bytes: 256 << 20,
            connections: 1024,
            requests: 64,
            queue_rows: 4096,
            thread_wait: Duration::from_millis(5),
            timeout: Duration::from_secs(2),
            max_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            leave: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}
