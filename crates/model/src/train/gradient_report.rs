//! The gradient report: do the loss terms pull the same way on the parameters that they share?

use std::collections::BTreeMap;

use das_nn::{Gradients, ParamId, Params, Tape};

use super::objective::Objective;
use super::observe::GradientRecord;

/// Runs the step once for each term, with that term's weighted loss alone, and compares the
/// gradients group by group. Nothing is trained and nothing drawn that training would miss.
///
/// The cost is one forward and backward pass a term, and a dense copy of every gradient.
pub(crate) fn records<O: Objective>(
    objective: &O,
    batch: &O::Batch,
    quantize: bool,
    step: u64,
) -> Vec<GradientRecord> {
    let params = objective.params();
    let gradients = by_term(objective, batch, quantize);
    let groups = groups(params).into_iter();
    groups.filter_map(|(group, ids)| record(step, group, &ids, &gradients)).collect()
}

fn by_term<O: Objective>(
    objective: &O,
    batch: &O::Batch,
    quantize: bool,
) -> Vec<(&'static str, Gradients)> {
    let mut gradients = Vec::new();
    loop {
        let mut tape = Tape::new(objective.params());
        let terms = objective.loss(&mut tape, batch, quantize);
        let Some(&term) = terms.parts().get(gradients.len()) else { return gradients };
        let more = terms.parts().len() > gradients.len() + 1;
        let weighted = tape.weighted_sum(&[(term.value, term.weight)]);
        gradients.push((term.name, tape.backward(weighted)));
        if !more {
            return gradients;
        }
    }
}

/// Parameters by the first two parts of their names, such as `item.encoder`.
fn groups(params: &Params) -> BTreeMap<String, Vec<ParamId>> {
    let mut groups: BTreeMap<String, Vec<ParamId>> = BTreeMap::new();
    for id in params.ids() {
        let group: Vec<&str> = params.name(id).split('.').take(2).collect();
        groups.entry(group.join(".")).or_default().push(id);
    }
    groups
}

/// None where no term has a gradient.
fn record(
    step: u64,
    group: String,
    ids: &[ParamId],
    gradients: &[(&'static str, Gradients)],
) -> Option<GradientRecord> {
    let flat = |gradients: &Gradients| -> Vec<Option<Vec<f32>>> {
        ids.iter().map(|&id| gradients.dense(id)).collect()
    };
    let (terms, vectors): (Vec<&'static str>, Vec<_>) = gradients
        .iter()
        .map(|(term, gradients)| (*term, flat(gradients)))
        .filter(|(_, vector)| dot(vector, vector) > 0.0)
        .unzip();
    if terms.is_empty() {
        return None;
    }
    let norms: Vec<f64> = vectors.iter().map(|vector| dot(vector, vector).sqrt()).collect();
    let cosine = |a: usize, b: usize| match a == b {
        true => 1.0,
        false => dot(&vectors[a], &vectors[b]) / (norms[a] * norms[b]),
    };
    let cosines =
        (0..terms.len()).map(|a| (0..terms.len()).map(|b| cosine(a, b)).collect()).collect();
    Some(GradientRecord { step, group, terms, norms, cosines })
}

/// Inner product over all parameters of a group, in double precision; absent gradients are zero.
fn dot(a: &[Option<Vec<f32>>], b: &[Option<Vec<f32>>]) -> f64 {
    let pairs = a.iter().zip(b).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?)));
    pairs.flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
