//! How a run went: losses, validation, gradients.

use das_model::Term;
use maud::{Markup, html};

use super::format::metric_name;
use crate::report::charts::{Line, Plot, heatmap, lines};
use crate::report::model::{GradientGroup, Run, Series};

const WIDE: (f64, f64) = (1040.0, 230.0);
const SMALL: (f64, f64) = (238.0, 130.0);
const SMALL_WITH_AXIS: (f64, f64) = (238.0, 150.0);
/// Terms up to which a heat map is legible beside another.
const HALF_WIDTH_TERMS: usize = 11;

/// The whole loss, and each term by itself.
pub(super) fn losses(run: &Run) -> Option<Markup> {
    let training = run.training.as_ref()?;
    let mut parts: Vec<(&str, Vec<&Series>)> = Vec::new();
    for term in &training.terms {
        let part = part(&term.name);
        match parts.iter_mut().find(|(name, _)| *name == part) {
            Some((_, terms)) => terms.push(term),
            None => parts.push((part, vec![term])),
        }
    }
    Some(html! {
        p.lead {
            "Each curve is the mean over neighbouring steps; terms are shown before their weights, "
            "each on its own scale."
        }
        div.charts {
            figure.wide {
                figcaption { "Loss that is minimised" }
                (curve(&training.loss, WIDE, "step"))
            }
        }
        @for (part, terms) in &parts {
            h3 { (part) }
            div.small-multiples {
                @for term in terms {
                    figure {
                        figcaption { code { (term.name) } (ends(term)) }
                        (curve(term, SMALL, ""))
                    }
                }
            }
        }
    })
}

/// Validation, gradient norm and learning rate.
pub(super) fn course(run: &Run) -> Option<Markup> {
    let training = run.training.as_ref()?;
    let validation = || training.validation.iter().filter(|series| !series.points.is_empty());
    let epochs = |series: &Series| {
        let line = Line { label: series.name.clone(), color: 0, points: series.points.clone() };
        let label = format!("validation {} by epoch", metric_name(&series.name));
        let plot = Plot {
            label: &label,
            x: "epoch",
            y: &series.name,
            size: SMALL_WITH_AXIS,
            from_zero: true,
            filled: false,
            dots: true,
        };
        lines(&[line], plot)
    };
    Some(html! {
        div.small-multiples {
            @for series in validation() {
                figure { figcaption { "Validation " (metric_name(&series.name)) } (epochs(series)) }
            }
            @for (title, series) in [
                ("Norm of the gradient", &training.gradient_norm),
                ("Learning rate", &training.learning_rate),
            ] {
                @if !series.points.is_empty() {
                    figure { figcaption { (title) } (curve(series, SMALL_WITH_AXIS, "step")) }
                }
            }
        }
        @if validation().next().is_some() {
            p.note {
                "Validation retrieves the next click’s item from the last training items of the "
                "user, by quantized vectors; it steers early stopping and is no test result."
            }
        }
    })
}

/// Cosines between gradients of terms.
pub(super) fn gradients(run: &Run) -> Option<Markup> {
    if run.gradients.is_empty() {
        return None;
    }
    Some(html! {
        p.lead {
            "Cosine between the gradients of every two loss terms on the same parameters, mean "
            "over the measured steps. Blue: they pull together. Orange: they pull apart. Near 0: "
            "they leave each other alone."
        }
        div.charts {
            @for group in &run.gradients {
                figure.wide[group.terms.len() > HALF_WIDTH_TERMS] {
                    figcaption { (group.name) small { " " (group.steps) " steps" } }
                    (heatmap(&describe(group), &group.terms, &group.cosine))
                }
            }
        }
    })
}

/// The pair that pulls apart the most, for readers who cannot see the picture.
fn describe(group: &GradientGroup) -> String {
    let pairs = (0..group.terms.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    let cosine = |&(a, b): &(usize, usize)| group.cosine[a][b];
    let known = pairs.filter(|pair| cosine(pair).is_finite());
    let worst = known.min_by(|x, y| cosine(x).total_cmp(&cosine(y)));
    let worst = worst.map_or(String::new(), |(a, b)| {
        let (a_name, b_name) = (&group.terms[a], &group.terms[b]);
        format!("; lowest: {a_name} and {b_name}, {:.2}", group.cosine[a][b])
    });
    format!("cosines of gradients on {}{worst}", group.name)
}

/// The part of L = L_sem + α L_cf + β L_align that a term belongs to.
fn part(term: &str) -> &'static str {
    let term = Term::ALL.iter().find(|known| known.name() == term);
    match term.map(|term| term.part()) {
        Some(das_model::Part::Sem) => "Content: reconstruction and quantization",
        Some(das_model::Part::Cf) => "Behaviour: ID-based model and its debiasing",
        Some(das_model::Part::Align) => "Alignment of both",
        None => "Terms",
    }
}

fn curve(series: &Series, size: (f64, f64), x: &str) -> Markup {
    let line = Line { label: series.name.clone(), color: 0, points: series.points.clone() };
    let label = format!("{} by step{}", series.name, ends(series));
    lines(
        &[line],
        Plot { label: &label, x, y: "", size, from_zero: false, filled: false, dots: false },
    )
}

/// First and last value in words.
fn ends(series: &Series) -> String {
    let value = |point: Option<&(f64, f64)>| point.map(|point| format!("{:.3}", point.1));
    match (value(series.points.first()), value(series.points.last())) {
        (Some(first), Some(last)) => format!(" {first} → {last}"),
        _ => String::new(),
    }
}
