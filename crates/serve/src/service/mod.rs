//! What the service does, apart from how it is asked: HTTP and gRPC hand over the same messages.

mod content;
mod encode;
mod info;
mod items;
mod later;
mod lookup;
mod method;
mod neighbours;
mod retrieve;
mod upsert;

use std::time::Instant;

use das_core::Side;
use serde::{Deserialize, Serialize};

pub use encode::{Encode, EncodeAnswer, EncodeRequest};
pub use info::{ArtifactInfo, Info, SideInfo};
pub use items::{Items, ItemsAnswer, ItemsRequest};
pub use lookup::{Lookup, LookupAnswer, LookupRequest, LookupRow};
pub use method::Method;
pub use neighbours::{Neighbour, Neighbours, NeighboursAnswer, NeighboursRequest};
pub use retrieve::{Retrieve, RetrieveAnswer, RetrieveRequest, RetrievedItem};
pub use upsert::{Upsert, UpsertAnswer, UpsertRequest, UpsertRow};

use crate::artifact::ServedSide;
use crate::batch::Batcher;
use crate::config::Limits;
use crate::error::{Kind, Refusal};
use crate::ids::{Id, MAX_ID_BYTES};
use crate::metrics::Metrics;
use crate::online::Committer;
use crate::registry::{Arm, Chosen, Registry};
use crate::trace::Remote;
use later::Later;

/// Answers requests. Shared by all connections.
#[derive(Debug)]
pub struct Service {
    registry: Registry,
    batcher: Batcher,
    committer: Committer,
    limits: Limits,
    metrics: Metrics,
}

/// What goes with every request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// For whom the request is, where that is known: decides the arm of an experiment.
    pub user: Option<&'a str>,
    /// After it nobody waits for the answer.
    pub deadline: Instant,
    /// `http` or `grpc`.
    pub transport: &'static str,
    /// The version that is to answer, whoever the user is.
    pub version: Option<&'a str>,
    /// The trace that the request is part of.
    pub trace: Remote<'a>,
}

/// What goes with every answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The artifact that answered.
    pub version: String,
    /// The space in which its codes have meaning.
    pub id_space: String,
    /// Which of the artifacts it is.
    pub arm: Arm,
}

/// A side in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestedSide {
    /// Items.
    #[default]
    Item,
    /// Users.
    User,
}

impl From<RequestedSide> for Side {
    fn from(side: RequestedSide) -> Side {
        match side {
            RequestedSide::Item => Side::Item,
            RequestedSide::User => Side::User,
        }
    }
}

/// An entity with its ID.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// Its id.
    pub id: Id,
    /// Its semantic ID.
    pub codes: Vec<u32>,
}

impl Service {
    /// Answers with the artifacts of `registry`, whose new entities `committer` gives IDs to.
    pub fn new(
        registry: Registry,
        batcher: Batcher,
        committer: Committer,
        limits: Limits,
        metrics: Metrics,
    ) -> Service {
        Service { registry, batcher, committer, limits, metrics }
    }

    /// The artifacts.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What gives out IDs.
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    /// What requests may ask for.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Rows that wait to be computed.
    pub fn waiting(&self) -> usize {
        self.batcher.waiting()
    }
}

/// The number of rows of a request, at least one and no more than `most`.
fn check_rows(field: &str, found: usize, most: usize) -> Result<(), Refusal> {
    match found {
        0 => Err(Refusal::invalid(format!("`{field}`: expected at least one, got none"))),
        found if found > most => Err(Refusal::new(
            Kind::TooLarge,
            format!("`{field}`: {found}, expected at most {most}"),
        )),
        _ => Ok(()),
    }
}

fn check_id(field: &str, row: usize, id: &Id) -> Result<(), Refusal> {
    match id {
        Id::Text(id) if id.len() > MAX_ID_BYTES => Err(Refusal::invalid(format!(
            "`{field}` row {row}: an id of {} bytes, expected at most {MAX_ID_BYTES}",
            id.len()
        ))),
        _ => Ok(()),
    }
}

impl Chosen {
    fn answered(&self) -> Answered {
        Answered {
            version: self.loaded.version().to_string(),
            id_space: self.loaded.id_space().to_string(),
            arm: self.arm,
        }
    }

    fn side(&self, side: RequestedSide) -> Result<&ServedSide, Refusal> {
        self.loaded.side(side.into()).ok_or_else(|| {
            let side = Side::from(side);
            Refusal::new(Kind::Unsupported, format!("this artifact has no {side} IDs"))
        })
    }
}

/// The ID of an entity, published or later.
fn codes_of(
    side: &ServedSide,
    later: Option<&Later<'_>>,
    id: &Id,
) -> Result<Option<Vec<u32>>, Refusal> {
    if let Some(row) = side.row_of(id) {
        return Ok(Some(side.index().codes(row).collect()));
    }
    later.map_or(Ok(None), |later| later.codes_of(id))
}
