//! Search down the tree of existing IDs, for a block of histories at once.
//!
//! Depth by depth, every kept node is expanded to its existing children, and a rule says which of
//! them are kept. Keeping the most promising ones is beam search. Keeping all that can still be
//! among the results is branch and bound: the probability of an ID is a product over its digits,
//! so no leaf is more probable than a node above it.

use das_core::sid::Trie;
use das_nn::Tape;
use rayon::prelude::*;

use super::network::Network;

/// Nodes whose logits are worked out at once.
const BLOCK: usize = 4096;
/// A node's best leaf is taken to have the share `leaves^-SPREAD` of its probability. With none, a
/// beam drops likely leaves below unlikely nodes for the many small ones below likely nodes.
const SPREAD: f32 = 0.4;
/// How many times the width is kept of the first digits, each of which stands for the most leaves.
const FIRST_DEPTH: usize = 2;

/// Which nodes of a depth are expanded further.
#[derive(Clone, Copy)]
pub(super) enum Keep<'a> {
    /// So many of each history, those that promise the most probable leaves; twice as many of the
    /// first digits.
    Best(usize),
    /// All whose ln p is at least the bound of their history.
    From(&'a [f32]),
}

/// The nodes kept on one depth, history by history, in node order.
struct Frontier {
    /// Number of the history.
    histories: Vec<u32>,
    /// Node of the tree.
    nodes: Vec<u32>,
    /// Flat codes of the node's prefix, `[n, depth]`.
    prefixes: Vec<u32>,
    /// ln p of the prefix.
    log_probabilities: Vec<f32>,
}

/// A child of a kept node.
#[derive(Clone, Copy)]
struct Child {
    /// Place of its parent in the frontier.
    parent: u32,
    node: u32,
    log_probability: f32,
}

/// What a search runs on.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) network: &'a Network,
    pub(super) trie: &'a Trie,
    /// What is added to each digit's code in the flat vocabulary.
    pub(super) offsets: &'a [u32],
    /// What the depth decoder knows of each history, `[n, dim]`.
    pub(super) contexts: &'a [f32],
    pub(super) dim: usize,
    /// Whether a digit's probability is shared among existing codes alone.
    pub(super) renormalise: bool,
}

/// The leaves reached for each history, with their ln p, in leaf order.
pub(super) fn search(of: Search<'_>, keep: Keep<'_>) -> Vec<Vec<(u32, f32)>> {
    let count = of.contexts.len() / of.dim;
    let mut frontier = Frontier {
        histories: (0..count as u32).collect(),
        nodes: vec![0; count],
        prefixes: Vec::new(),
        log_probabilities: vec![0.0; count],
    };
    for (depth, &offset) in of.offsets.iter().enumerate() {
        let children = expand(of, &frontier, depth);
        let kept = select(children, &frontier, count, (of.trie, depth + 1), keep);
        frontier = descend(of.trie, &frontier, &kept, depth, offset);
    }
    let mut leaves = vec![Vec::new(); count];
    for ((&history, &leaf), &log_probability) in
        frontier.histories.iter().zip(&frontier.nodes).zip(&frontier.log_probabilities)
    {
        leaves[history as usize].push((leaf, log_probability));
    }
    leaves
}

/// All existing children of the frontier, by parent. Only children are as probable as their
/// parents, where probabilities are renormalised; the network is not asked.
fn expand(of: Search<'_>, frontier: &Frontier, depth: usize) -> Vec<Child> {
    let mut steps = vec![Vec::new(); frontier.nodes.len()];
    let mut asked = Vec::new();
    for (parent, &node) in frontier.nodes.iter().enumerate() {
        let children = of.trie.children(depth, node);
        if of.renormalise && children.len() == 1 {
            steps[parent] = vec![(children.start, 0.0)];
        } else {
            asked.push(parent as u32);
        }
    }
    for block in asked.chunks(BLOCK) {
        for (&parent, found) in block.iter().zip(ask(of, frontier, depth, block)) {
            steps[parent as usize] = found;
        }
    }
    let above = (0..).zip(&frontier.log_probabilities).zip(steps);
    above
        .flat_map(|((parent, above), steps)| {
            steps.into_iter().map(move |(node, step)| Child {
                parent,
                node,
                log_probability: above + step,
            })
        })
        .collect()
}

/// The children of some nodes of the frontier, each with ln p of the digit that leads to it.
fn ask(of: Search<'_>, frontier: &Frontier, depth: usize, parents: &[u32]) -> Vec<Vec<(u32, f32)>> {
    let mut tape = Tape::inference(&of.network.params);
    let contexts = tape.input_slice(of.contexts.len() / of.dim, of.dim, of.contexts);
    let histories: Vec<u32> =
        parents.iter().map(|&parent| frontier.histories[parent as usize]).collect();
    let contexts = tape.select_rows(contexts, &histories);
    let prefix = |&parent: &u32| &frontier.prefixes[parent as usize * depth..][..depth];
    let prefixes: Vec<u32> = parents.iter().flat_map(prefix).copied().collect();
    let states = of.network.digit(&mut tape, contexts, &prefixes, depth, &mut None);
    let logits = of.network.logits(&mut tape, states, depth);
    let (values, width) = (tape.value(logits).to_vec(), tape.shape(logits).1);
    let rows = parents.par_iter().zip(values.par_chunks_exact(width));
    rows.map(|(&parent, row)| log_softmax(of, depth, frontier.nodes[parent as usize], row))
        .collect()
}

/// The children of a node with ln p of the digit that leads to each, from the logits of all codes.
fn log_softmax(of: Search<'_>, depth: usize, node: u32, logits: &[f32]) -> Vec<(u32, f32)> {
    let codes = of.trie.codes(depth + 1);
    let logit = |child: u32| logits[codes[child as usize] as usize];
    let children = of.trie.children(depth, node);
    let total = if of.renormalise {
        log_sum_exp(&children.clone().map(logit).collect::<Vec<_>>())
    } else {
        log_sum_exp(logits)
    };
    // Rounding must not make a child more probable than its parent.
    children.map(|child| (child, (logit(child) - total).min(0.0))).collect()
}

/// The children that are kept, history by history, in node order.
fn select(
    mut children: Vec<Child>,
    frontier: &Frontier,
    count: usize,
    (trie, depth): (&Trie, usize),
    keep: Keep<'_>,
) -> Vec<Child> {
    let history = |child: &Child| frontier.histories[child.parent as usize] as usize;
    match keep {
        Keep::From(bounds) => {
            children.retain(|child| child.log_probability >= bounds[history(child)]);
            children
        }
        Keep::Best(width) => {
            let mut of_history = vec![Vec::new(); count];
            children.into_iter().for_each(|child| of_history[history(&child)].push(child));
            let kept = if depth == 1 { FIRST_DEPTH * width } else { width };
            let promise = |child: &Child| {
                let leaves = trie.leaves(depth, child.node).len();
                child.log_probability - SPREAD * (leaves as f32).ln()
            };
            of_history.par_iter_mut().for_each(|children| keep_best(children, kept, promise));
            of_history.into_iter().flatten().collect()
        }
    }
}

/// Keeps the `width` most promising children, of equals the first, in node order.
fn keep_best(children: &mut Vec<Child>, width: usize, promise: impl Fn(&Child) -> f32) {
    if children.len() <= width {
        return;
    }
    let mut ranked: Vec<(f32, Child)> =
        children.iter().map(|child| (promise(child), *child)).collect();
    ranked.select_nth_unstable_by(width, |(a, left), (b, right)| {
        b.total_cmp(a).then(left.node.cmp(&right.node))
    });
    ranked.truncate(width);
    ranked.sort_unstable_by_key(|(_, child)| child.node);
    children.clear();
    children.extend(ranked.into_iter().map(|(_, child)| child));
}

/// The frontier one depth below.
fn descend(trie: &Trie, above: &Frontier, kept: &[Child], depth: usize, offset: u32) -> Frontier {
    let mut prefixes = Vec::with_capacity(kept.len() * (depth + 1));
    for child in kept {
        let parent = child.parent as usize;
        prefixes.extend_from_slice(&above.prefixes[parent * depth..(parent + 1) * depth]);
        prefixes.push(trie.codes(depth + 1)[child.node as usize] + offset);
    }
    Frontier {
        histories: kept.iter().map(|child| above.histories[child.parent as usize]).collect(),
        nodes: kept.iter().map(|child| child.node).collect(),
        prefixes,
        log_probabilities: kept.iter().map(|child| child.log_probability).collect(),
    }
}

/// ln Σ exp(x), without overflow.
fn log_sum_exp(values: &[f32]) -> f32 {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = values.iter().map(|&value| f64::from((value - largest).exp())).sum();
    largest + sum.ln() as f32
}
