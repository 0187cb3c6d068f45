//! Search down the tree of existing IDs, for a block of histories at once.
//!
//! Depth by depth, every kept node is expanded to its existing children, and a rule says which of
//! them are kept. Keeping the most promising ones is beam search. Keeping all that can still be
//! among the results is branch and bound: the probability of an ID is a product over its digits,
//! so no leaf is more probable than a node above it.

use std::ops::Range;

use das_core::sid::Trie;
use das_nn::{Among, Candidates, Tape};
use rayon::prelude::*;

use super::network::Network;

/// Nodes that the network is asked about at once.
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

/// For each node above the leaves, how far below its ln p that of its best leaf is taken to be.
#[derive(Debug)]
pub(super) struct Reach(Vec<Vec<f32>>);

impl Reach {
    pub(super) fn new(trie: &Trie) -> Reach {
        let of_node = |depth, node| SPREAD * (trie.leaves(depth, node).len() as f32).ln();
        let of_depth = |depth| {
            let nodes = (0..trie.num_nodes(depth) as u32).into_par_iter();
            nodes.map(|node| of_node(depth, node)).collect()
        };
        Reach((0..trie.num_digits()).map(of_depth).collect())
    }

    /// That of one node; 0 for a leaf.
    fn of(&self, depth: usize, node: u32) -> f32 {
        self.0.get(depth).map_or(0.0, |of_nodes| of_nodes[node as usize])
    }
}

/// What a search runs on.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) network: &'a Network,
    pub(super) trie: &'a Trie,
    pub(super) reach: &'a Reach,
    /// What is added to each digit's code in the flat vocabulary.
    pub(super) offsets: &'a [u32],
    /// What the depth decoder knows of each history, `[n, dim]`.
    pub(super) contexts: &'a [f32],
    pub(super) dim: usize,
    /// The codes of a digit that share its probability: those that exist, or all.
    pub(super) among: Among,
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
        let kept = select(children, &frontier, (of.reach, depth + 1), keep);
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
    let mut children = Vec::new();
    let mut counts = Vec::with_capacity(frontier.nodes.len());
    let parents = (0..).zip(&frontier.nodes).zip(&frontier.log_probabilities);
    for ((parent, &node), &log_probability) in parents {
        let below = of.trie.children(depth, node);
        counts.push(below.len());
        children.extend(below.map(|node| Child { parent, node, log_probability }));
    }
    let mut rest = &mut children[..];
    let mut asked = Vec::with_capacity(counts.len());
    for count in counts {
        let siblings = rest.split_off_mut(..count).expect("as many as were counted");
        if !(count == 0 || of.among == Among::Candidates && count == 1) {
            asked.push(siblings);
        }
    }
    asked.chunks_mut(BLOCK).for_each(|block| ask(of, frontier, depth, block));
    children
}

/// Adds to the children of some nodes ln p of the digit that leads to each.
fn ask(of: Search<'_>, frontier: &Frontier, depth: usize, families: &mut [&mut [Child]]) {
    let parents: Vec<usize> = families.iter().map(|family| family[0].parent as usize).collect();
    let mut tape = Tape::inference(&of.network.params);
    let contexts = tape.input_slice(of.contexts.len() / of.dim, of.dim, of.contexts);
    let histories: Vec<u32> = parents.iter().map(|&parent| frontier.histories[parent]).collect();
    let contexts = tape.select_rows(contexts, &histories);
    let prefix = |&parent: &usize| &frontier.prefixes[parent * depth..][..depth];
    let prefixes: Vec<u32> = parents.iter().flat_map(prefix).copied().collect();
    let states = of.network.digit(&mut tape, contexts, &prefixes, depth, &mut None);
    let children = |&parent: &usize| of.trie.children(depth, frontier.nodes[parent]);
    let of_rows: Vec<Range<u32>> = parents.iter().map(children).collect();
    let candidates = Candidates { classes: of.trie.codes(depth + 1), of_rows: &of_rows };
    let own = of.network.log_probabilities(&mut tape, (states, depth), &candidates, of.among);
    let own = tape.value(own).to_vec();
    for (child, own) in families.iter_mut().flat_map(|family| family.iter_mut()).zip(own) {
        // Rounding must not make a child more probable than its parent.
        child.log_probability += own.min(0.0);
    }
}

/// The children that are kept, history by history, in node order; `depth` is theirs.
fn select(
    mut children: Vec<Child>,
    frontier: &Frontier,
    (reach, depth): (&Reach, usize),
    keep: Keep<'_>,
) -> Vec<Child> {
    let history = |child: &Child| frontier.histories[child.parent as usize] as usize;
    match keep {
        Keep::From(bounds) => {
            children.retain(|child| child.log_probability >= bounds[history(child)]);
            children
        }
        Keep::Best(width) => {
            let kept = if depth == 1 { FIRST_DEPTH * width } else { width };
            let promise = |child: &Child| child.log_probability - reach.of(depth, child.node);
            // Children lie by parent, and parents by history.
            let of_history = children.chunk_by(|a, b| history(a) == history(b));
            let of_history: Vec<&[Child]> = of_history.collect();
            let best = of_history.par_iter().map(|children| best(children, kept, promise));
            best.collect::<Vec<_>>().concat()
        }
    }
}

/// The `width` most promising children, of equals the first, in node order.
fn best(children: &[Child], width: usize, promise: impl Fn(&Child) -> f32) -> Vec<Child> {
    if children.len() <= width {
        return children.to_vec();
    }
    let mut ranked: Vec<(f32, Child)> =
        children.iter().map(|child| (promise(child), *child)).collect();
    ranked.select_nth_unstable_by(width, |(a, left), (b, right)| {
        b.total_cmp(a).then(left.node.cmp(&right.node))
    });
    ranked.truncate(width);
    ranked.sort_unstable_by_key(|(_, child)| child.node);
    ranked.into_iter().map(|(_, child)| child).collect()
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
