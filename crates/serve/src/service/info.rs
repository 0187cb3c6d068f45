//! What is served.

use das_core::Side;
use das_core::sid::SidLayout;
use serde::Serialize;
use serde_json::Value;

use super::Service;
use crate::artifact::{Loaded, ServedSide};
use crate::error::Refusal;
use crate::registry::Experiment;

/// The artifacts that are served.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    /// The live one.
    pub live: ArtifactInfo,
    /// The version before it, to which a rollback leads.
    pub previous: Option<String>,
    /// The second one.
    pub second: Option<ArtifactInfo>,
    /// What the second one does.
    pub experiment: Option<Experiment>,
}

/// One artifact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArtifactInfo {
    /// Tells it from every other artifact.
    pub version: String,
    /// The space in which its codes have meaning.
    pub id_space: String,
    /// The method that trained the tokenizer.
    pub method: String,
    /// The program that published it.
    pub das_version: String,
    /// Whether it retrieves by history.
    pub retriever: bool,
    /// Its sides.
    pub sides: Vec<SideInfo>,
}

/// One side of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideInfo {
    /// Which.
    pub side: Side,
    /// What the digits mean.
    pub layout: SidLayout,
    /// IDs of publication.
    pub published: usize,
    /// IDs given out later.
    pub later: usize,
    /// Width of content vectors.
    pub content_dim: usize,
    /// The embedder of texts, in its own words.
    pub embedder: Option<Value>,
    /// Whether texts can be encoded here.
    pub texts: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts_not: Option<String>,
}

impl Service {
    /// What is served at this moment.
    pub fn info(&self) -> Result<Info, Refusal> {
        let served = self.registry.served();
        let second = served.second.as_ref();
        Ok(Info {
            live: self.artifact_info(&served.live)?,
            previous: served.previous.as_ref().map(|loaded| loaded.version().to_string()),
            second: second.map(|(loaded, _)| self.artifact_info(loaded)).transpose()?,
            experiment: second.map(|(_, experiment)| *experiment),
        })
    }

    /// What an artifact is.
    pub fn artifact_info(&self, loaded: &Loaded) -> Result<ArtifactInfo, Refusal> {
        let side = |side| self.side_info(loaded, side);
        Ok(ArtifactInfo {
            version: loaded.version().to_string(),
            id_space: loaded.id_space().to_string(),
            method: loaded.manifest().method.clone(),
            das_version: loaded.manifest().das_version.clone(),
            retriever: loaded.retriever().is_some(),
            sides: loaded.sides().map(side).collect::<Result<_, _>>()?,
        })
    }

    fn side_info(&self, loaded: &Loaded, side: &ServedSide) -> Result<SideInfo, Refusal> {
        let later = self.later(loaded, side)?;
        Ok(SideInfo {
            side: side.side(),
            layout: side.layout().clone(),
            published: side.index().len(),
            later: later.map_or(Ok(0), |later| later.count(&[]))?,
            content_dim: side.content_dim(),
            embedder: side.embedder_identity().cloned(),
            texts: side.embeds_texts().is_ok(),
            texts_not: side.embeds_texts().err().map(str::to_string),
        })
    }
}
