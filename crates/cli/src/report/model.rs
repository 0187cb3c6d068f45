//! What the page is made of: plain numbers and texts, no files and no markup.

use std::collections::BTreeMap;

use das_core::Side;
use das_core::metrics::{DecileMetrics, IntrinsicMetrics};
pub use das_eval::metric::REFERENCE;
use das_eval::pairs::Pair;
use das_eval::records::{Record, Task};
use das_eval::stats::Interval;

/// Everything on the page. What is not there is left out of it and named in `missing`.
#[derive(Debug, Default)]
pub struct Report {
    /// The last part of the folder's path.
    pub name: String,
    /// Results of several methods.
    pub comparison: Option<Comparison>,
    /// One training run in detail.
    pub run: Option<Run>,
    /// Sections that could not be made.
    pub missing: Vec<Missing>,
}

/// A section that could not be made.
#[derive(Debug, PartialEq)]
pub struct Missing {
    /// The section.
    pub what: &'static str,
    /// How to get it.
    pub how: &'static str,
}

/// Results of several methods, from `results.jsonl` and `pairs.jsonl`.
#[derive(Debug, Default)]
pub struct Comparison {
    /// One for each task and variant.
    pub boards: Vec<Board>,
    /// Methods in the order of their colours; ablations are not among them.
    pub methods: Vec<String>,
    /// Differences between two methods.
    pub pairs: Vec<Pair>,
}

/// The methods on one task.
#[derive(Debug)]
pub struct Board {
    /// What was measured.
    pub task: Task,
    /// The split and form of the task, or empty.
    pub variant: String,
    /// One a method, in the order of [`Comparison::methods`].
    pub rows: Vec<MethodResults>,
    /// The reference with a part left out, e.g. `das -co_i`.
    pub ablations: Vec<MethodResults>,
}

/// One method on one task, over seeds.
#[derive(Debug)]
pub struct MethodResults {
    /// Its name.
    pub method: String,
    /// One record a seed and repeat, ascending.
    pub records: Vec<Record>,
    /// Every metric over seeds, the repeats of a seed averaged.
    pub metrics: BTreeMap<String, Interval>,
}

/// The reference minus `method` in `metric`, whichever way round the pair stands: the difference
/// and the ends of its interval.
pub fn difference_of(
    comparison: &Comparison,
    board: &Board,
    metric: &str,
    method: &str,
) -> Option<(f64, (f64, f64))> {
    let here = |pair: &&Pair| {
        (pair.task, &pair.variant, &*pair.metric) == (board.task, &board.variant, metric)
    };
    comparison.pairs.iter().filter(here).find_map(|pair| {
        let found = pair.difference;
        match (&*pair.a, &*pair.b) {
            (REFERENCE, b) if b == method => Some((found.difference, (found.low, found.high))),
            (a, REFERENCE) if a == method => Some((-found.difference, (-found.high, -found.low))),
            _ => None,
        }
    })
}

/// One training run.
#[derive(Debug, Default)]
pub struct Run {
    /// Where it is, below the folder that the page is about.
    pub name: String,
    /// The method that trained it.
    pub method: String,
    /// What it was trained on and how, in words.
    pub facts: Vec<(&'static str, String)>,
    /// Its losses.
    pub training: Option<Training>,
    /// How its loss terms pull at shared parameters.
    pub gradients: Vec<GradientGroup>,
    /// The IDs of each side.
    pub sides: Vec<SideIds>,
    /// The items in a plane, by one kind of vectors or two.
    pub maps: Vec<ItemMap>,
    /// Items by prefix.
    pub prefixes: Vec<PrefixNode>,
    /// Whether items have titles; otherwise their ids stand for them.
    pub titled: bool,
}

/// What `metrics.jsonl` holds, thinned out.
#[derive(Debug, Default)]
pub struct Training {
    /// The weighted sum, by step.
    pub loss: Series,
    /// Each term, unweighted, in the order of the log.
    pub terms: Vec<Series>,
    /// Norm of the whole gradient.
    pub gradient_norm: Series,
    /// Learning rate of dense parameters.
    pub learning_rate: Series,
    /// Validation metrics by epoch, from 1.
    pub validation: Vec<Series>,
}

/// A named curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// (step or epoch, value).
    pub points: Vec<(f64, f64)>,
}

/// Cosines between the gradients of loss terms on one group of parameters, mean over steps.
#[derive(Debug, Default)]
pub struct GradientGroup {
    /// The parameters.
    pub name: String,
    /// The terms that reach them.
    pub terms: Vec<String>,
    /// `[n, n]`; not finite where no step had a gradient of both.
    pub cosine: Vec<Vec<f64>>,
    /// Steps that were measured.
    pub steps: usize,
}

/// The IDs of one side.
#[derive(Debug)]
pub struct SideIds {
    /// Items or users.
    pub side: Side,
    /// Their figures.
    pub metrics: IntrinsicMetrics,
    /// Entities on each code of each level, descending.
    pub usage: Vec<Vec<u64>>,
    /// How many learned IDs are shared by how many entities: (entities, IDs), ascending.
    pub buckets: Vec<(usize, usize)>,
    /// By popularity, where the run noted it.
    pub deciles: Vec<DecileMetrics>,
}

/// The items in a plane.
#[derive(Debug)]
pub struct ItemMap {
    /// Which vectors were projected.
    pub source: &'static str,
    /// Items there are; the map may show a sample.
    pub items: usize,
    /// The shown items by first code.
    pub codes: Vec<MapCode>,
}

/// The shown items of one first code.
#[derive(Debug)]
pub struct MapCode {
    /// The code.
    pub code: u32,
    /// Category of its colour: codes that lie side by side differ in it.
    pub color: usize,
    /// Coordinates and title.
    pub points: Vec<([f32; 2], String)>,
}

/// Items that share a prefix.
#[derive(Debug)]
pub struct PrefixNode {
    /// The prefix.
    pub prefix: Vec<u32>,
    /// How many items have it.
    pub items: usize,
    /// Longer prefixes; empty at the last shown level.
    pub children: Vec<PrefixNode>,
    /// Some of the items: ID and title. Empty above the last shown level.
    pub examples: Vec<(Vec<u32>, String)>,
}
