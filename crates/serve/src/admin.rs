//! Replacing artifacts while requests are answered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use das_core::artifact::MANIFEST_FILE;
use das_core::files;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::artifact::{Loaded, Source, load};
use crate::error::{Error, Kind, Refusal, Result};
use crate::metrics::Metrics;
use crate::registry::{Arm, Experiment};
use crate::service::Service;

/// How often a version that could not be read is tried, since its folder may have been replaced meanwhile.
const ATTEMPTS: u32 = 3;

/// Loads new versions, and puts back old ones. One change at a time.
#[derive(Debug)]
pub struct Admin {
    service: Arc<Service>,
    metrics: Metrics,
    live: Source,
    second: Option<Source>,
    /// The manifests that were looked at last, of the live and of the second artifact.
    seen: Mutex<[Option<Seen>; 2]>,
}

/// A manifest that was looked at, as its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    manifest: String,
    attempts: u32,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The version that is served now.
    pub version: String,
    /// Whether it is another than before.
    pub changed: bool,
    /// Entities of the store that have an ID in its space.
    pub carried: usize,
    /// Entities of the store that it cannot encode.
    pub left: usize,
}

impl Admin {
    /// Watches over the artifacts of `live` and `second`, which `service` serves already.
    pub fn new(
        service: Arc<Service>,
        metrics: Metrics,
        live: Source,
        second: Option<Source>,
    ) -> Admin {
        metrics.serving(&service.registry().served());
        let seen = [Some(&live), second.as_ref()].map(|source| {
            let manifest = source.and_then(|source| manifest_hash(&source.folder))?;
            Some(Seen { manifest, attempts: ATTEMPTS })
        });
        Admin { service, metrics, live, second, seen: Mutex::new(seen) }
    }

    /// Loads the version that is in the folder now. Until it is ready, and if it is bad, the present one
    /// goes on.
    pub async fn reload(&self, arm: Arm) -> Result<Reloaded, Refusal> {
        let mut seen = self.seen.lock().await;
        self.reload_seen(arm, &mut seen).await
    }

    async fn reload_seen(
        &self,
        arm: Arm,
        seen: &mut [Option<Seen>; 2],
    ) -> Result<Reloaded, Refusal> {
        let source = match (arm, &self.second) {
            (Arm::Live, _) => &self.live,
            (Arm::Second, Some(second)) => second,
            (Arm::Second, None) => {
                return Err(Refusal::new(Kind::Unsupported, "there is no second artifact"));
            }
        };
        let place = &mut seen[arm as usize];
        let manifest = manifest_hash(&source.folder).unwrap_or_default();
        let attempts = match place {
            Some(seen) if seen.manifest == manifest => seen.attempts + 1,
            _ => 1,
        };
        *place = Some(Seen { manifest, attempts });
        match self.replace(arm, source).await {
            Ok(reloaded) => {
                let result = if reloaded.changed { "changed" } else { "unchanged" };
                self.metrics.reloaded(arm.name(), result);
                tracing::info!(arm = arm.name(), version = reloaded.version, result, "reload");
                *place = place.take().map(|seen| Seen { attempts: ATTEMPTS, ..seen });
                Ok(reloaded)
            }
            Err(error) => {
                self.metrics.reloaded(arm.name(), "refused");
                tracing::error!(arm = arm.name(), %error, "the artifact is refused, the present one goes on");
                Err(Refusal::new(Kind::Unsupported, format!("the artifact is refused: {error}")))
            }
        }
    }

    async fn replace(&self, arm: Arm, source: &Source) -> Result<Reloaded> {
        let source = source.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&source)).await;
        let loaded =
            loaded.map_err(|error| Error::Invalid(format!("loading failed: {error}")))??;
        let served = self.service.registry().served();
        let present = match arm {
            Arm::Live => Some(&served.live),
            Arm::Second => served.second.as_ref().map(|(loaded, _)| loaded),
        };
        let version = loaded.version().to_string();
        if present.is_some_and(|present| present.version() == version) {
            return Ok(Reloaded { version, changed: false, carried: 0, left: 0 });
        }
        let loaded = Arc::new(loaded);
        let carried = self.service.committer().activate(loaded.clone()).await?;
        let dropped = self.service.registry().swap(arm, loaded);
        self.settle(dropped);
        Ok(Reloaded { version, changed: true, carried: carried.carried, left: carried.left })
    }

    /// Serves the version before again.
    pub async fn roll_back(&self) -> Result<Reloaded, Refusal> {
        let _one_at_a_time = self.seen.lock().await;
        let nothing = || Refusal::new(Kind::Unsupported, "there is no version before this one");
        let live = self.service.registry().roll_back().ok_or_else(nothing)?;
        self.metrics.reloaded(Arm::Live.name(), "rolled-back");
        tracing::info!(version = live.version(), "rolled back");
        self.settle(None);
        let version = live.version().to_string();
        Ok(Reloaded { version, changed: true, carried: 0, left: 0 })
    }

    /// Changes what the second artifact does.
    pub async fn experiment(&self, experiment: Experiment) -> Result<(), Refusal> {
        let _one_at_a_time = self.seen.lock().await;
        self.service.registry().experiment(experiment)?;
        tracing::info!(?experiment, "experiment");
        Ok(())
    }

    /// Looks at the folders again and again and loads what is new there.
    pub async fn watch(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (arm, source) in
                [(Arm::Live, Some(&self.live)), (Arm::Second, self.second.as_ref())]
            {
                let Some(source) = source else { continue };
                let mut seen = self.seen.lock().await;
                let Some(manifest) = manifest_hash(&source.folder) else { continue };
                let known = seen[arm as usize]
                    .as_ref()
                    .is_some_and(|seen| seen.manifest == manifest && seen.attempts >= ATTEMPTS);
                if !known {
                    // What is wrong with it is logged and counted.
                    let _ = self.reload_seen(arm, &mut seen).await;
                }
            }
        }
    }

    /// Forgets an artifact that is served no more, and says which are.
    fn settle(&self, dropped: Option<Arc<Loaded>>) {
        let served = self.service.registry().served();
        self.metrics.serving(&served);
        if let Some(dropped) = dropped
            && !served.has(dropped.version())
        {
            self.service.committer().deactivate(dropped.version());
        }
    }
}

/// The hash of the manifest in a folder; none while there is none.
fn manifest_hash(folder: &Path) -> Option<String> {
    files::sha256_file(&folder.join(MANIFEST_FILE)).ok()
}
