//! `metrics.jsonl` and `gradients.jsonl` of a run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{GRADIENTS, METRICS, json_lines};
use crate::report::model::{GradientGroup, Series, Training};

/// Points that a curve is thinned out to.
const POINTS: usize = 150;

/// The curves of a run; none where it logged no step.
pub(super) fn read(run: &Path) -> anyhow::Result<Option<Training>> {
    let records: Vec<Map<String, Value>> = json_lines(&run.join(METRICS))?;
    let of_kind = |kind: &str| -> Vec<&Map<String, Value>> {
        records.iter().filter(|r| r.get("kind").and_then(Value::as_str) == Some(kind)).collect()
    };
    let steps = of_kind("step");
    if steps.is_empty() {
        return Ok(None);
    }
    let plain = |name: &str| thin(series(&steps, name, |record| record.get(name)?.as_f64()));
    let term = |name: &String| {
        thin(series(&steps, name, |record| record.get("terms")?.get(name.as_str())?.as_f64()))
    };
    Ok(Some(Training {
        loss: plain("loss"),
        gradient_norm: plain("gradient_norm"),
        learning_rate: plain("learning_rate"),
        terms: names(&steps, "terms").iter().map(term).collect(),
        validation: validation(&of_kind("epoch")),
    }))
}

/// The validation metrics of each epoch, but the number of queries.
fn validation(epochs: &[&Map<String, Value>]) -> Vec<Series> {
    let metrics = names(epochs, "validation").into_iter().filter(|name| name != "queries");
    metrics
        .map(|name| {
            let points = epochs.iter().filter_map(|record| {
                let value = record.get("validation")?.get(name.as_str())?.as_f64()?;
                Some((record.get("epoch")?.as_f64()? + 1.0, value))
            });
            Series { points: points.collect(), name: name.clone() }
        })
        .collect()
}

/// The keys of the objects under `key`, in order of appearance.
fn names(records: &[&Map<String, Value>], key: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let objects = records.iter().filter_map(|record| record.get(key)?.as_object());
    for name in objects.flat_map(Map::keys) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn series(
    records: &[&Map<String, Value>],
    name: &str,
    value: impl Fn(&Map<String, Value>) -> Option<f64>,
) -> Series {
    let point =
        |record: &&Map<String, Value>| Some((record.get("step")?.as_f64()?, value(record)?));
    Series { name: name.to_string(), points: records.iter().filter_map(point).collect() }
}

/// Means over runs of neighbouring points, at most [`POINTS`] of them.
fn thin(series: Series) -> Series {
    let each = series.points.len().div_ceil(POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let n = points.len() as f64;
        let sum = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / n, sum.1 / n)
    };
    Series { points: series.points.chunks(each).map(mean).collect(), ..series }
}

/// A line of `gradients.jsonl`: one group of parameters at one step.
#[derive(Deserialize)]
struct GradientRecord {
    group: String,
    /// The terms with a gradient there; not the same ones at every step.
    terms: Vec<String>,
    /// `[n, n]`.
    cosines: Vec<Vec<Option<f64>>>,
}

/// Sum and number of the cosines of two terms.
type Sums = BTreeMap<(usize, usize), (f64, usize)>;

/// Mean cosines of each group of parameters, in order of appearance; a record that is not square
/// is refused.
pub(super) fn gradients(run: &Path) -> anyhow::Result<Vec<GradientGroup>> {
    let path = run.join(GRADIENTS);
    let mut groups: Vec<(GradientGroup, Sums)> = Vec::new();
    for record in json_lines::<GradientRecord>(&path)? {
        let n = record.terms.len();
        if record.cosines.len() != n || record.cosines.iter().any(|row| row.len() != n) {
            bail!(
                "{}: group {} has {n} terms, expected that many rows and columns of cosines",
                path.display(),
                record.group
            );
        }
        let at = groups.iter().position(|(group, _)| group.name == record.group);
        let at = at.unwrap_or_else(|| {
            let group = GradientGroup { name: record.group.clone(), ..GradientGroup::default() };
            groups.push((group, Sums::new()));
            groups.len() - 1
        });
        add(&mut groups[at], &record);
    }
    Ok(groups.into_iter().map(|(group, sums)| mean(group, &sums)).collect())
}

fn add((group, sums): &mut (GradientGroup, Sums), record: &GradientRecord) {
    group.steps += 1;
    let mut number = |term: &String| {
        group.terms.iter().position(|known| known == term).unwrap_or_else(|| {
            group.terms.push(term.clone());
            group.terms.len() - 1
        })
    };
    let numbers: Vec<usize> = record.terms.iter().map(&mut number).collect();
    for (&a, row) in numbers.iter().zip(&record.cosines) {
        for (&b, value) in numbers.iter().zip(row) {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                let (sum, count) = sums.entry((a, b)).or_default();
                *sum += value;
                *count += 1;
            }
        }
    }
}

fn mean(mut group: GradientGroup, sums: &Sums) -> GradientGroup {
    let n = group.terms.len();
    let value = |a, b| sums.get(&(a, b)).map_or(f64::NAN, |&(sum, count)| sum / count as f64);
    group.cosine = (0..n).map(|a| (0..n).map(|b| value(a, b)).collect()).collect();
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_are_thinned_to_means() {
        let points: Vec<(f64, f64)> = (0..1000).map(|step| (step as f64, 2.0)).collect();
        let thinned = thin(Series { name: "x".into(), points });
        assert_eq!(thinned.points.len(), 143);
        assert_eq!(thinned.points[0], (3.0, 2.0));
        let short = Series { name: "x".into(), points: vec![(0.0, 1.0), (1.0, 3.0)] };
        assert_eq!(thin(short.clone()), short);
    }

    #[test]
    fn cosines_are_averaged_over_the_steps_that_have_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GRADIENTS);
        let lines = [
            r#"{"step":0,"group":"item.encoder","terms":["a"],"norms":[1],"cosines":[[1]]}"#,
            r#"{"step":5,"group":"item.encoder","terms":["b","a"],"cosines":[[1,-0.5],[-0.5,1]]}"#,
            r#"{"step":9,"group":"item.encoder","terms":["a","b"],"cosines":[[1,0.1],[0.1,1]]}"#,
        ];
        std::fs::write(&path, lines.map(|line| format!("{line}\n")).concat()).unwrap();
        let groups = gradients(folder.path()).unwrap();
        assert_eq!((groups.len(), groups[0].steps), (1, 3));
        assert_eq!(groups[0].terms, ["a", "b"]);
        assert_eq!(groups[0].cosine, [[1.0, -0.2], [-0.2, 1.0]]);
        std::fs::write(&path, "{\"group\":\"x\",\"terms\":[\"a\"],\"cosines\":[]}\n").unwrap();
        assert!(gradients(folder.path()).unwrap_err().to_string().contains("group x"));
    }
}
