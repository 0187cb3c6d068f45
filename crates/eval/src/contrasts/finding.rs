//! What records say of claims.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{By, Claim, Contrast};
use crate::compare::Folder;
use crate::records::{PerUser, Record, Run};
use crate::samples::{Runs, Sample, UserMetric, common, resample, user_metrics};
use crate::stats::{BOOTSTRAP_SEED, Relative, Resampled, holm};
use crate::{Error, Result};

/// A claim holds where its corrected p is below this.
const SIGNIFICANT: f64 = 0.05;

/// Resamples of the bootstrap: more than for pairs, as Holm multiplies the smallest p.
const RESAMPLES: usize = 20_000;

/// z(0.975) + z(0.8) of the standard normal law: a true difference of this many standard
/// deviations is found at p < 0.05, two-sided, four times in five.
const DETECTABLE: f64 = 1.959_964 + 0.841_621;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// a is better than b.
    Ahead,
    /// b is better than a.
    Behind,
    /// a is worse than b by less than the margin, if at all.
    NotWorse,
    /// The records do not tell.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Ahead => "ahead",
            Verdict::Behind => "behind",
            Verdict::NotWorse => "not worse",
            Verdict::Undecided => "undecided",
        })
    }
}

/// A contrast with its figures; all intervals are of 95 %.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was claimed.
    #[serde(flatten)]
    pub contrast: Contrast,
    /// Mean of a over seeds and the users of both.
    pub mean_a: f64,
    /// Mean of b.
    pub mean_b: f64,
    /// a − b.
    pub difference: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard deviation of the resampled differences.
    pub deviation: f64,
    /// (a − b)/b with its interval; none where b is not above 0 in every resample.
    pub relative: Option<Relative>,
    /// Of `not-worse`: the lower end of the one-sided interval of (a − b)/b.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_low: Option<f64>,
    /// Of `ahead`: two-sided, against no difference. Of `not-worse`: one-sided, against a
    /// difference of −margin.
    pub p: f64,
    /// The same with Holm's correction for the number of contrasts.
    pub p_holm: f64,
    /// The smallest difference that would be found four times in five at p < 0.05, without
    /// correction: 2.80 deviations.
    pub mde: f64,
    /// The same as a share of b; none as `relative`.
    pub mde_relative: Option<f64>,
    /// Of `ahead` by some difference: whether the estimate is as large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaches_by: Option<bool>,
    /// Whether the whole interval is above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clears_by: Option<bool>,
    /// What became of the claim.
    pub verdict: Verdict,
    /// Users of both.
    pub users: usize,
    /// Seeds of a and of b.
    pub seeds: [usize; 2],
}

/// Holds every contrast of a plan against the comparisons, by name. They are resampled as
/// for `pairs.jsonl`, more often; p values are corrected for the length of the plan.
///
/// # Errors
/// If a contrast asks for what there is no record of; the message has its number, from 1.
pub fn findings(plan: &[Contrast], folders: &BTreeMap<String, Folder>) -> Result<Vec<Finding>> {
    let mut records = BTreeMap::new();
    for (name, folder) in folders {
        records.insert(name.as_str(), (folder, folder.records()?));
    }
    let mut found = Vec::with_capacity(plan.len());
    for (at, contrast) in plan.iter().enumerate() {
        let fault = |message: String| Error::Invalid(format!("contrast {}: {message}", at + 1));
        let (folder, records) = records
            .get(contrast.comparison.as_str())
            .ok_or_else(|| fault(format!("no comparison `{}` is given", contrast.comparison)))?;
        let metric = metric_of(contrast).map_err(fault)?;
        let mut samples = Vec::new();
        for method in [&contrast.a, &contrast.b] {
            let own = runs(contrast, method, records).map_err(fault)?;
            samples
                .push(sample(folder, &own, metric)?.ok_or_else(|| fault(absent(method, metric)))?);
        }
        let resampled = pair(contrast, &samples).ok_or_else(|| {
            let (a, b) = (&contrast.a, &contrast.b);
            fault(format!("`{a}` and `{b}` have no users in common"))
        })?;
        found.push(finding(contrast, &resampled).map_err(fault)?);
    }
    correct(&mut found);
    Ok(found)
}

fn metric_of(contrast: &Contrast) -> Result<&'static UserMetric, String> {
    let known = user_metrics(contrast.task);
    known.iter().find(|metric| metric.name == contrast.metric).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|metric| metric.name).collect();
        let (task, metric) = (contrast.task, &contrast.metric);
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("`{metric}` is no mean over users of task `{task}`, whose are: {names}")
    })
}

/// The records of a method in the contrast's task.
fn runs<'a>(
    contrast: &Contrast,
    method: &str,
    records: &'a [Record],
) -> Result<Vec<&'a Record>, String> {
    let Contrast { comparison, task, variant, .. } = contrast;
    let asked = |run: &Run| run.task == *task && run.variant == *variant;
    let here: Vec<&Record> = records.iter().filter(|record| asked(&record.run)).collect();
    let own = here.iter().filter(|record| record.run.method == method);
    let own: Vec<&Record> = own.copied().collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let slash = if variant.is_empty() { "" } else { "/" };
    let mut methods: Vec<&str> = here.iter().map(|record| record.run.method.as_str()).collect();
    methods.dedup();
    let there = match methods.is_empty() {
        true => "nor of any other method".to_owned(),
        false => format!("it has {}", methods.join(", ")),
    };
    Err(format!(
        "comparison `{comparison}` has no record of `{method}` in {task}{slash}{variant}; {there}"
    ))
}

fn sample(folder: &Folder, records: &[&Record], metric: &UserMetric) -> Result<Option<Sample>> {
    let mut figures: Vec<(&Run, PerUser)> = Vec::new();
    for record in records {
        figures.extend(folder.per_user(record)?.map(|users| (&record.run, users)));
    }
    let figures: Runs<'_> = figures.iter().map(|(run, users)| (*run, users)).collect();
    Ok(Sample::of(&figures, metric))
}

fn absent(method: &str, metric: &UserMetric) -> String {
    let metric = metric.name;
    format!("the records of `{method}` have no `{metric}` by user; an earlier version made them")
}

fn pair(contrast: &Contrast, samples: &[Sample]) -> Option<Resampled> {
    let users = common(&samples[0].users, &samples[1].users);
    let named = [(contrast.a.as_str(), &samples[0]), (contrast.b.as_str(), &samples[1])];
    resample(&named, &[[0, 1]], &users, RESAMPLES, BOOTSTRAP_SEED).into_iter().next()?
}

/// All but what other contrasts have a say in.
fn finding(contrast: &Contrast, resampled: &Resampled) -> Result<Finding, String> {
    let found = resampled.difference();
    let [mean_a, mean_b] = resampled.means;
    let undefined =
        || format!("no relative difference to `{}`, which is not above 0 throughout", contrast.b);
    let (mut p, mut relative_low, mut beyond) = (found.p, None, None);
    match contrast.claim {
        Claim::Ahead { by: None } => {}
        Claim::Ahead { by: Some(By::Absolute(by)) } => {
            beyond = Some((found.difference >= by, found.low > by));
        }
        Claim::Ahead { by: Some(By::Relative(by)) } => {
            let relative = found.relative.ok_or_else(undefined)?;
            beyond = Some((relative.difference >= by, relative.low > by));
        }
        Claim::NotWorse { margin_relative } => {
            let above = resampled.relative_above(-margin_relative).ok_or_else(undefined)?;
            (p, relative_low) = (above.p, Some(above.low));
        }
    }
    let mde = DETECTABLE * found.deviation;
    Ok(Finding {
        contrast: contrast.clone(),
        mean_a,
        mean_b,
        difference: found.difference,
        low: found.low,
        high: found.high,
        deviation: found.deviation,
        relative: found.relative,
        relative_low,
        p,
        p_holm: p,
        mde,
        mde_relative: found.relative.map(|_| mde / mean_b),
        reaches_by: beyond.map(|(reaches, _)| reaches),
        clears_by: beyond.map(|(_, clears)| clears),
        verdict: Verdict::Undecided,
        users: found.users,
        seeds: found.seeds,
    })
}

/// Corrects p values for their number and passes verdicts on them.
fn correct(found: &mut [Finding]) {
    let p: Vec<f64> = found.iter().map(|finding| finding.p).collect();
    for (finding, p) in found.iter_mut().zip(holm(&p)) {
        finding.p_holm = p;
        finding.verdict = match finding.contrast.claim {
            _ if p >= SIGNIFICANT => Verdict::Undecided,
            Claim::NotWorse { .. } => Verdict::NotWorse,
            Claim::Ahead { .. } if finding.difference > 0.0 => Verdict::Ahead,
            Claim::Ahead { .. } => Verdict::Behind,
        };
    }
}
