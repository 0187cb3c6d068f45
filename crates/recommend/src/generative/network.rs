//! The network on the tape: contexts over items, then digits one after another.

use std::ops::Range;

use das_core::sid::{SidLayout, SidTable, Trie};
use das_nn::{Activation, Among, Candidates, ParamId, Params, SoftmaxCe, Tape, Var};

use super::RetrieverConfig;
use crate::Result;
use crate::layers::{Builder, Dropout, FeedForward, Linear, Norm, dropout};
use crate::transformer::Transformer;
use crate::windows::Packed;

/// Parameters and layers.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) params: Params,
    pub(super) layout: SidLayout,
    label_smoothing: f32,
    /// Code embeddings of the items of a history by flat code, then the start of a sequence:
    /// `[V + 1, dim]`.
    inputs: ParamId,
    /// `[history + 1, dim]`, by place in the window, the start first.
    positions: ParamId,
    transformer: Transformer,
    /// From the transformer's state to the depth decoder's.
    bridge: Linear,
    /// Code embeddings of the digits so far by flat code, then one row for each digit that comes
    /// next: `[V + D, dim]`.
    prefixes: ParamId,
    depth: Vec<FeedForward>,
    norm: Norm,
    /// For each digit what its codes are compared with, `[width, dim]`.
    outputs: Vec<ParamId>,
}

impl Network {
    pub(super) fn new(
        mut builder: Builder,
        layout: &SidLayout,
        config: &RetrieverConfig,
    ) -> Result<Network> {
        let (dim, vocabulary) = (config.dim, layout.vocabulary_size() as usize);
        let inputs = builder.embedding("inputs", vocabulary + 1, dim)?;
        let positions = builder.embedding("positions", config.history + 1, dim)?;
        let transformer = Transformer::new(&mut builder, "transformer", config.shape())?;
        let bridge = Linear::new(&mut builder, "bridge", dim, dim)?;
        let prefixes = builder.embedding("prefixes", vocabulary + layout.num_digits(), dim)?;
        let mut depth = Vec::with_capacity(config.depth_layers);
        for at in 0..config.depth_layers {
            let (name, hidden) = (format!("depth.{at}"), config.depth_hidden);
            depth.push(FeedForward::new(&mut builder, &name, dim, hidden)?);
        }
        let norm = Norm::new(&mut builder, "depth.norm", dim)?;
        let mut outputs = Vec::with_capacity(layout.num_digits());
        for (digit, width) in layout.widths().enumerate() {
            outputs.push(builder.matrix(&format!("outputs.{digit}"), width as usize, dim)?);
        }
        Ok(Network {
            params: builder.finish(),
            layout: layout.clone(),
            label_smoothing: config.label_smoothing,
            inputs,
            positions,
            transformer,
            bridge,
            prefixes,
            depth,
            norm,
            outputs,
        })
    }

    /// Values of all parameters of such a network.
    pub(super) fn num_values(layout: &SidLayout, config: &RetrieverConfig) -> u128 {
        let (dim, digits) = (config.dim, layout.num_digits() as u128);
        // The vocabulary comes three times: as inputs, as prefixes and as outputs.
        let rows = 3 * u128::from(layout.vocabulary_size()) + config.history as u128 + digits + 2;
        rows * dim as u128
            + config.shape().num_values()
            + Linear::num_values(dim, dim)
            + config.depth_layers as u128 * FeedForward::num_values(dim, config.depth_hidden)
            + Norm::num_values(dim)
    }

    /// What the depth decoder knows of the history at every row, `[rows, dim]`.
    pub(super) fn contexts(
        &self,
        tape: &mut Tape<'_>,
        tokens: &Tokens,
        packed: &Packed,
        mut drop: Dropout<'_>,
    ) -> Var {
        let x = self.embed(tape, tokens, packed);
        let x = dropout(tape, x, &mut drop);
        let states = self.transformer.forward(tape, x, &packed.offsets, &mut drop);
        self.bridge.forward(tape, states, Activation::Identity)
    }

    /// What the depth decoder knows after the last row of each history, `[histories, dim]`.
    pub(super) fn newest_contexts(
        &self,
        tape: &mut Tape<'_>,
        tokens: &Tokens,
        packed: &Packed,
    ) -> Var {
        let x = self.embed(tape, tokens, packed);
        let states = self.transformer.newest(tape, x, &packed.offsets);
        self.bridge.forward(tape, states, Activation::Identity)
    }

    /// The rows of histories as the transformer takes them, `[rows, dim]`. An item enters as the
    /// sum of the embeddings of its digits.
    fn embed(&self, tape: &mut Tape<'_>, tokens: &Tokens, packed: &Packed) -> Var {
        let digits = self.layout.num_digits();
        let start = vec![self.layout.vocabulary_size(); digits];
        let bags: Vec<u32> = packed
            .items
            .iter()
            .flat_map(|&item| if item == Packed::START { &start } else { tokens.of(item) })
            .copied()
            .collect();
        let items = tape.gather_bag(self.inputs, &bags, digits);
        let positions = tape.gather(self.positions, &packed.positions);
        tape.add(items, positions)
    }

    /// States `[n, dim]` from which digit number `digit` is read, for `n` contexts and the flat
    /// codes `[n, digit]` of the digits before it.
    pub(super) fn digit(
        &self,
        tape: &mut Tape<'_>,
        contexts: Var,
        prefixes: &[u32],
        digit: usize,
        drop: &mut Dropout<'_>,
    ) -> Var {
        let next = self.layout.vocabulary_size() + digit as u32;
        let bags: Vec<u32> = (0..tape.shape(contexts).0)
            .flat_map(|row| {
                let prefix = &prefixes[row * digit..(row + 1) * digit];
                prefix.iter().copied().chain([next])
            })
            .collect();
        let known = tape.gather_bag(self.prefixes, &bags, digit + 1);
        let mut x = tape.add(contexts, known);
        for layer in &self.depth {
            x = layer.forward(tape, x, drop);
        }
        self.norm.forward(tape, x)
    }

    /// ln p of some codes of digit number `digit` for each of its states, `[Σ codes, 1]`.
    pub(super) fn log_probabilities(
        &self,
        tape: &mut Tape<'_>,
        (states, digit): (Var, usize),
        candidates: &Candidates<'_>,
        among: Among,
    ) -> Var {
        let codes = tape.param(self.outputs[digit]);
        tape.log_probabilities(states, codes, candidates, among)
    }

    /// Mean over rows and digits of the cross entropy of the items that follow the rows. With a
    /// tree, each digit is told from the codes that continue an existing ID, else from all.
    pub(super) fn loss(
        &self,
        tape: &mut Tape<'_>,
        (tokens, among): (&Tokens, Option<&Trie>),
        (packed, targets): (&Packed, &[u32]),
        mut drop: Dropout<'_>,
    ) -> Var {
        let reborrow = drop.as_mut().map(|(rate, rng)| (*rate, &mut **rng));
        let contexts = self.contexts(tape, tokens, packed, reborrow);
        let digits = self.layout.num_digits();
        let mut choices = Choices::new(targets.len());
        let mut parts = Vec::with_capacity(digits);
        for (digit, offset) in self.layout.offsets().into_iter().enumerate() {
            let code = |row: u32| tokens.of(targets[row as usize])[digit] - offset;
            let next = choices.next(among, digit, code);
            if next.rows.is_empty() {
                continue;
            }
            let contexts = tape.select_rows(contexts, &next.rows);
            let of_row = |&row: &u32| &tokens.of(targets[row as usize])[..digit];
            let prefixes: Vec<u32> = next.rows.iter().flat_map(of_row).copied().collect();
            let codes: Vec<u32> = next.rows.iter().map(|&row| code(row)).collect();
            let states = self.digit(tape, contexts, &prefixes, digit, &mut drop);
            let catalogue = tape.param(self.outputs[digit]);
            let candidates = among
                .map(|trie| Candidates { classes: trie.codes(digit + 1), of_rows: &next.children });
            let label_smoothing = self.label_smoothing;
            let options = SoftmaxCe { label_smoothing, candidates, ..SoftmaxCe::default() };
            let loss = tape.softmax_ce(states, catalogue, &codes, &options);
            parts.push((loss, next.rows.len() as f32 / (targets.len() * digits) as f32));
        }
        tape.weighted_sum(&parts)
    }
}

/// Where the targets of a batch stand in the tree of existing IDs, digit after digit.
struct Choices {
    nodes: Vec<u32>,
}

/// The rows whose next digit is not settled by the digits before it.
struct Next {
    rows: Vec<u32>,
    /// The children of each row's node; none without a tree.
    children: Vec<Range<u32>>,
}

impl Choices {
    fn new(rows: usize) -> Choices {
        Choices { nodes: vec![0; rows] }
    }

    /// The rows that choose on `digit`, and a step down the tree for all of them, where there is
    /// one. An only child has probability 1: it costs nothing and teaches nothing. The first digit
    /// is always chosen, so that a batch has a loss over any catalogue.
    fn next(&mut self, among: Option<&Trie>, digit: usize, code: impl Fn(u32) -> u32) -> Next {
        let all = 0..self.nodes.len() as u32;
        let Some(trie) = among else { return Next { rows: all.collect(), children: Vec::new() } };
        let mut next = Next { rows: Vec::new(), children: Vec::new() };
        for (row, node) in all.zip(&mut self.nodes) {
            let children = trie.children(digit, *node);
            if children.len() > 1 || digit == 0 {
                next.rows.push(row);
                next.children.push(children);
            }
            *node = trie.child(digit, *node, code(row)).expect("the item is in the tree");
        }
        next
    }
}

/// The IDs of all items as flat codes, in which codes of different digits never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    digits: usize,
    codes: Vec<u32>,
}

impl Tokens {
    pub(super) fn new(sids: &SidTable) -> Tokens {
        let offsets = sids.layout().offsets();
        let flat = |row: &[u32]| -> Vec<u32> {
            row.iter().zip(&offsets).map(|(code, offset)| code + offset).collect()
        };
        let codes = sids.rows().flat_map(flat).collect();
        Tokens { digits: offsets.len(), codes }
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.codes.len() / self.digits
    }

    /// All flat codes, item by item.
    pub(super) fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// The flat codes of an item.
    pub(super) fn of(&self, item: u32) -> &[u32] {
        &self.codes[item as usize * self.digits..][..self.digits]
    }
}
