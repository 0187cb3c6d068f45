//! Replacing artifacts while requests are answered.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use das_core::artifact::MANIFEST_FILE;
use das_core::files;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::artifact::{Loaded, Source, load};
use crate::error::{Error, Kind, Refusal, Result};
use crate::metrics::Metrics;
use crate::online::CarriedOver;
use crate::registry::{Arm, Experiment};
use crate::service::Service;

/// The pause before a version that could not be read is tried again, since it may not have been there as a whole:
/// after the first attempt, and at most. It doubles from one to the next.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

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
    /// When it is to be looked at again, and the pause after that; never where it was loaded.
    again: Option<(Instant, Duration)>,
}

impl Seen {
    /// A manifest that is served.
    fn loaded(loaded: &Loaded) -> Seen {
        Seen { manifest: loaded.manifest_sha256().to_string(), again: None }
    }

    /// One that was refused, perhaps not for the first time.
    fn refused(manifest: String, before: Option<Seen>) -> Seen {
        let before = before.filter(|before| before.manifest == manifest);
        let pause = before.and_then(|before| before.again).map_or(PAUSES[0], |(_, pause)| pause);
        Seen { manifest, again: Some((Instant::now() + pause, (2 * pause).min(PAUSES[1]))) }
    }

    /// Whether there is nothing to be done about a manifest yet.
    fn covers(&self, manifest: &str) -> bool {
        self.manifest == manifest && self.again.is_none_or(|(again, _)| Instant::now() < again)
    }
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
        let served = service.registry().served();
        metrics.serving(&served);
        // What was loaded, not what lies there now: a version may have come meanwhile.
        let second_one = served.second.as_ref().map(|(loaded, _)| Seen::loaded(loaded));
        let seen = Mutex::new([Some(Seen::loaded(&served.live)), second_one]);
        Admin { service, metrics, live, second, seen }
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
        match self.replace(arm, source).await {
            Ok((loaded, reloaded)) => {
                let result = if reloaded.changed { "changed" } else { "unchanged" };
                self.metrics.reloaded(arm.name(), result);
                tracing::info!(arm = arm.name(), version = reloaded.version, result, "reload");
                *place = Some(Seen::loaded(&loaded));
                Ok(reloaded)
            }
            Err(error) => {
                *place = Some(Seen::refused(manifest, place.take()));
                self.metrics.reloaded(arm.name(), "refused");
                tracing::error!(arm = arm.name(), %error, "the artifact is refused, the present one goes on");
                Err(Refusal::new(Kind::Unsupported, format!("the artifact is refused: {error}")))
            }
        }
    }

    async fn replace(&self, arm: Arm, source: &Source) -> Result<(Arc<Loaded>, Reloaded)> {
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
        let loaded = Arc::new(loaded);
        if present.is_some_and(|present| present.version() == version) {
            return Ok((loaded, Reloaded { version, changed: false, carried: 0, left: 0 }));
        }
        let carried = self.service.committer().activate(vec![loaded.clone()]).await?;
        let CarriedOver { carried, left } = carried.into_iter().next().unwrap_or_default();
        let dropped = self.service.registry().swap(arm, loaded.clone());
        self.settle(dropped);
        Ok((loaded, Reloaded { version, changed: true, carried, left }))
    }

    /// Serves the version before again. Refused if another one came while this waited for it: the version before
    /// is not the one that was meant then.
    pub async fn roll_back(&self) -> Result<Reloaded, Refusal> {
        let meant = self.service.registry().served().live.version().to_string();
        let _one_at_a_time = self.seen.lock().await;
        let live = self.service.registry().served().live.version().to_string();
        if live != meant {
            let message = format!("{live} came in place of {meant} meanwhile; ask again");
            return Err(Refusal::new(Kind::Unsupported, message));
        }
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
                let covered =
                    seen[arm as usize].as_ref().is_some_and(|seen| seen.covers(&manifest));
                if !covered {
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
            && !served.has(&dropped)
        {
            self.service.committer().deactivate(dropped);
        }
    }
}

/// The hash of the manifest in a folder; none while there is none.
fn manifest_hash(folder: &Path) -> Option<String> {
    files::sha256_file(&folder.join(MANIFEST_FILE)).ok()
}
