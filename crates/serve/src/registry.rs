//! Which artifact answers: the live one, the one before it, and perhaps a second beside it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use das_core::files;
use serde::{Deserialize, Serialize};

use crate::artifact::Loaded;
use crate::error::Refusal;

/// The artifacts that are served. Changes come one at a time (`Admin`). Whoever answers a request asks
/// once and keeps what it was given, so that no answer is made by two.
#[derive(Debug)]
pub struct Registry {
    served: ArcSwap<Served>,
}

/// The artifacts at one moment.
#[derive(Clone, Debug)]
pub struct Served {
    /// The one that answers.
    pub live: Arc<Loaded>,
    /// The one before it, kept for a rollback.
    pub previous: Option<Arc<Loaded>>,
    /// One beside it.
    pub second: Option<(Arc<Loaded>, Experiment)>,
}

/// What a second artifact is for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "mode", deny_unknown_fields)]
pub enum Experiment {
    /// It answers a share of the users, 0 to 1.
    Split {
        /// The share.
        share: f64,
    },
    /// It answers nobody: it does what the live one does, and answers are compared.
    Shadow,
}

/// Which of the artifacts answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The live one.
    Live,
    /// The second one.
    Second,
}

impl Arm {
    /// The name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Live => "live",
            Arm::Second => "second",
        }
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The artifact that answers.
    pub loaded: Arc<Loaded>,
    /// Which one it is.
    pub arm: Arm,
    /// One that does the same, unseen.
    pub shadow: Option<Arc<Loaded>>,
}

impl Experiment {
    /// Refuses a share outside 0 to 1.
    pub fn check(self) -> Result<Experiment, Refusal> {
        match self {
            Experiment::Split { share } if !(0.0..=1.0).contains(&share) => {
                Err(Refusal::invalid(format!("`share`: expected 0 to 1, got {share}")))
            }
            valid => Ok(valid),
        }
    }
}

impl Served {
    /// Whether an artifact is among them.
    pub fn has(&self, artifact: &Arc<Loaded>) -> bool {
        let second = self.second.iter().map(|(loaded, _)| loaded);
        let mut all = std::iter::once(&self.live).chain(&self.previous).chain(second);
        all.any(|loaded| Arc::ptr_eq(loaded, artifact))
    }
}

impl Registry {
    /// Serves `live`, and a second one beside it.
    pub fn new(live: Arc<Loaded>, second: Option<(Arc<Loaded>, Experiment)>) -> Registry {
        Registry { served: ArcSwap::from_pointee(Served { live, previous: None, second }) }
    }

    /// The artifacts of this moment.
    pub fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// Who answers a request for `user`. Requests that name no user are answered by the live one.
    pub fn choose(&self, user: Option<&str>) -> Chosen {
        let served = self.served.load();
        let live = |shadow| Chosen { loaded: served.live.clone(), arm: Arm::Live, shadow };
        match (&served.second, user) {
            (Some((loaded, Experiment::Split { share })), Some(user)) if place(user) < *share => {
                Chosen { loaded: loaded.clone(), arm: Arm::Second, shadow: None }
            }
            (Some((loaded, Experiment::Shadow)), _) => live(Some(loaded.clone())),
            _ => live(None),
        }
    }

    /// Serves `loaded` from now on as `arm`; the live one before is kept for a rollback. Returns the
    /// artifact that is needed no more.
    pub fn swap(&self, arm: Arm, loaded: Arc<Loaded>) -> Option<Arc<Loaded>> {
        let mut now = Served::clone(&self.served());
        let dropped = match arm {
            Arm::Live => {
                let before = std::mem::replace(&mut now.live, loaded);
                now.previous.replace(before)
            }
            Arm::Second => {
                let place = now.second.as_mut();
                place.map(|(second, _)| std::mem::replace(second, loaded))
            }
        };
        self.served.store(Arc::new(now));
        dropped
    }

    /// Serves the one before again; the present one is then the one before.
    pub fn roll_back(&self) -> Option<Arc<Loaded>> {
        let mut now = Served::clone(&self.served());
        let live = now.previous.take()?;
        now.previous = Some(std::mem::replace(&mut now.live, live.clone()));
        self.served.store(Arc::new(now));
        Some(live)
    }

    /// The artifact of this version, if it answers requests.
    pub fn pinned(&self, version: &str) -> Option<Chosen> {
        let served = self.served.load();
        let chosen = |loaded: &Arc<Loaded>, arm| {
            let shadow = None;
            (loaded.version() == version).then(|| Chosen { loaded: loaded.clone(), arm, shadow })
        };
        chosen(&served.live, Arm::Live).or_else(|| match &served.second {
            Some((loaded, Experiment::Split { .. })) => chosen(loaded, Arm::Second),
            _ => None,
        })
    }

    /// Sets what the second artifact does; refused where there is none.
    pub fn experiment(&self, experiment: Experiment) -> Result<(), Refusal> {
        let experiment = experiment.check()?;
        let mut now = Served::clone(&self.served());
        match &mut now.second {
            Some((_, current)) => *current = experiment,
            None => {
                let message = "there is no second artifact; start with --second";
                return Err(Refusal::new(crate::error::Kind::Unsupported, message));
            }
        }
        self.served.store(Arc::new(now));
        Ok(())
    }
}

/// Where a user falls between 0 and 1: evenly, and the same on every machine and in every version.
fn place(user: &str) -> f64 {
    let hash = files::sha256_bytes(format!("das-experiment\n{user}").as_bytes());
    let first = u64::from_str_radix(&hash[..13], 16).unwrap_or(0);
    // 52 bits, so that every value is exact.
    first as f64 / (1u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_fall_evenly_and_always_to_the_same_place() {
        let places: Vec<f64> = (0..10_000).map(|user| place(&user.to_string())).collect();
        assert!(places.iter().all(|place| (0.0..1.0).contains(place)));
        for share in [0.01, 0.1, 0.5] {
            let below = places.iter().filter(|&&place| place < share).count() as f64;
            // Five standard deviations of a fair draw.
            let slack = 5.0 * (10_000.0 * share * (1.0 - share)).sqrt();
            assert!((below - 10_000.0 * share).abs() < slack, "{share}: {below}");
        }
        // printf 'das-experiment\n42' | sha256sum
        assert_eq!(place("42"), 0.49221182658972706);
    }

    #[test]
    fn shares_outside_their_range_are_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(Experiment::Split { share }.check().is_err());
        }
        assert!(Experiment::Split { share: 1.0 }.check().is_ok());
    }
}
