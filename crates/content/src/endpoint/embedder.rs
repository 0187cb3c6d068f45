//! Vectors from a server.

use das_core::progress::{Cancel, Progress};
use das_core::{DenseMatrix, RowMatrix, files, streams};
use serde_json::json;

use super::client::{Client, Request};
use super::pool::{self, Stop};
use super::rows::Rows;
use super::{Dialect, EndpointConfig, vectors};
use crate::text_model::{Batch, Done, TextModel};
use crate::{EmbedderIdentity, Result};

/// Any text will do to learn a width.
const PROBE_TEXT: &str = "text";

/// A model behind an embeddings endpoint. The vectors of a text are taken to depend on the model's
/// name and the text alone.
#[derive(Debug)]
pub struct EndpointEmbedder {
    server: Server,
    dim: usize,
}

impl EndpointEmbedder {
    /// The kind that identities carry.
    pub const KIND: &'static str = "endpoint";

    /// Raised whenever the same model would give other vectors.
    const VERSION: u32 = 1;

    /// An embedder whose vectors must have width `dim`. Nothing is sent. `seed` draws the waits
    /// before repeated requests, and decides nothing else.
    ///
    /// # Errors
    /// A setting out of range, a `dim` that no server may have, or a key that the environment
    /// lacks.
    pub fn new(config: &EndpointConfig, dim: usize, seed: u64) -> Result<EndpointEmbedder> {
        if !(1..=vectors::MAX_DIM).contains(&dim) {
            let message = format!("expected a width from 1 to {}, got {dim}", vectors::MAX_DIM);
            return Err(das_core::Error::Invalid(message).into());
        }
        Ok(EndpointEmbedder { server: Server::new(config, seed)?, dim })
    }

    /// An embedder whose width is learned by embedding one short text.
    ///
    /// # Errors
    /// As [`EndpointEmbedder::new`], and those of the request: [`crate::Error::Endpoint`] about
    /// the probe text, or `Interrupted`.
    pub fn probe(config: &EndpointConfig, seed: u64, cancel: &Cancel) -> Result<EndpointEmbedder> {
        let server = Server::new(config, seed)?;
        let mut dim = 0;
        let request = |_, stop: Stop<'_>| server.embed(&[PROBE_TEXT], Rows::Probe, None, stop);
        pool::run(1, 1, cancel, request, &mut |_, vectors| {
            dim = vectors.dim();
            Ok(())
        })?;
        Ok(EndpointEmbedder { server, dim })
    }

    /// Width of every vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many requests were repeated so far.
    pub fn retries(&self) -> u64 {
        self.server.client.repeated()
    }
}

impl TextModel for EndpointEmbedder {
    /// The protocol, the model's name and the width, never the address. Where no model is named
    /// (TEI allows it), all servers of one width are taken for one.
    fn identity(&self) -> EmbedderIdentity {
        let state = json!([self.server.dialect, self.server.model, self.dim]).to_string();
        EmbedderIdentity {
            kind: Self::KIND.into(),
            version: Self::VERSION,
            dim: self.dim,
            hash: files::sha256_bytes(state.as_bytes()),
        }
    }

    /// Embeds `texts`, none of which may be empty (some servers refuse a request over it), in
    /// batches of `batch_size` with `concurrency` of them in flight. As soon as a batch is there
    /// and checked, `done` gets its rows, as indices into `texts`, and their vectors of norm 1, on
    /// the calling thread; batches come in any order.
    ///
    /// After a failure no new request is sent; those in flight may end, and what they bring still
    /// goes to `done`. So whatever `done` has stored need not be asked for again.
    ///
    /// # Errors
    /// [`crate::Error::Endpoint`] naming rows; the error of `done`, which is then not called again;
    /// `Interrupted` once `cancel` is set. An interruption waits for requests in flight, at most
    /// `timeout_s`.
    fn embed_batches(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: Done<'_>,
    ) -> Result<()> {
        debug_assert!(texts.iter().all(|text| !text.is_empty()), "empty texts are not sent");
        let size = self.server.batch_size;
        let mut embedded = 0;
        progress.begin("embed texts", Some(texts.len() as u64));
        let request = |batch: usize, stop: Stop<'_>| {
            let first = batch * size;
            let texts = &texts[first..texts.len().min(first + size)];
            let rows = Rows::Range { first, count: texts.len() };
            self.server.embed(texts, rows, Some(self.dim), stop)
        };
        let mut store = |batch: usize, vectors: DenseMatrix| {
            let rows: Vec<usize> = (batch * size..).take(vectors.rows()).collect();
            embedded += rows.len() as u64;
            // Servers cut long texts and do not tell.
            let truncated = vec![false; rows.len()];
            done(Batch { rows, vectors, truncated })?;
            progress.update(embedded, &self.server.client.note());
            Ok(())
        };
        let jobs = texts.len().div_ceil(size);
        let result = pool::run(jobs, self.server.concurrency, cancel, request, &mut store);
        progress.end();
        result
    }
}

/// The server, before the width of its vectors is known.
#[derive(Debug)]
struct Server {
    client: Client,
    dialect: Dialect,
    model: String,
    batch_size: usize,
    concurrency: usize,
    seed: u64,
}

impl Server {
    fn new(config: &EndpointConfig, seed: u64) -> Result<Server> {
        Ok(Server {
            client: Client::new(config)?,
            dialect: config.dialect,
            model: config.model.clone(),
            batch_size: config.batch_size,
            concurrency: config.concurrency,
            seed,
        })
    }

    /// One request: the vectors of `texts`, which are `rows` to the caller.
    fn embed(
        &self,
        texts: &[&str],
        rows: Rows,
        dim: Option<usize>,
        stop: Stop<'_>,
    ) -> Result<DenseMatrix> {
        let (path, body) = match self.dialect {
            Dialect::OpenAi => (
                "/embeddings",
                json!({ "model": self.model, "input": texts, "encoding_format": "float" }),
            ),
            Dialect::Tei => {
                ("/embed", json!({ "inputs": texts, "truncate": true, "normalize": true }))
            }
        };
        let max_response_bytes = vectors::max_response_bytes(texts.len());
        let request = Request { path, body: body.to_string(), max_response_bytes, rows };
        let mut rng = streams::stream(self.seed, "endpoint/embed", rows.number());
        let read = |body: &[u8]| vectors::read(self.dialect, body, rows, dim);
        self.client.post(&request, &mut rng, stop, read)
    }
}
