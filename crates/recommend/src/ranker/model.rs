//! The network: from a batch's table rows to one logit a row.

use das_nn::{Activation, Attention, ParamId, Tape, Var};
use rand_chacha::ChaCha8Rng;

use super::batch::{Batch, EntityBatch, HistoryBatch, Packed};
use super::builder::{Builder, Linear};
use super::config::RankerConfig;
use super::schema::{EntitySchema, FieldSchema, Schema};
use crate::{Error, Result};

/// Parameters and their places in the network.
#[derive(Debug)]
pub(super) struct Model {
    user: Entity,
    item: Entity,
    context: Vec<ParamId>,
    interest: Option<Interest>,
    cross: Vec<Linear>,
    deep: Vec<Linear>,
    head: Linear,
    dropout: f32,
}

/// The tables of users or items.
#[derive(Debug)]
struct Entity {
    id: Option<ParamId>,
    fields: Vec<ParamId>,
    bags: Vec<ParamId>,
    sids: Vec<ParamId>,
    /// Width of the concatenated embeddings.
    width: usize,
}

/// What a history says of a candidate.
#[derive(Debug)]
struct Interest {
    query: Linear,
    key: Linear,
    value: Linear,
    /// Added to the key of the click with that many newer ones.
    age: ParamId,
    heads: usize,
}

impl Model {
    /// The network for inputs of `schema`, with `[users, items]` rows in the ID tables.
    pub(super) fn new(
        builder: &mut Builder<'_>,
        config: &RankerConfig,
        schema: &Schema,
        id_rows: [usize; 2],
    ) -> Result<Model> {
        let dim = config.dim;
        let [user_rows, item_rows] = id_rows;
        let user_rows = config.use_user_ids.then_some(user_rows);
        let item_rows = config.use_item_ids.then_some(item_rows);
        let user = Entity::new(builder, "user", &schema.user, user_rows, dim)?;
        let item = Entity::new(builder, "item", &schema.item, item_rows, dim)?;
        if item.width == 0 {
            let expected = "true where items have neither fields nor semantic IDs";
            return Err(Error::config("ranker.use_item_ids", expected, false));
        }
        let context = tables(builder, "context", &schema.context, dim)?;
        let interest =
            (config.history > 0).then(|| Interest::new(builder, config, item.width)).transpose()?;
        let of_history = interest.as_ref().map_or(0, |_| INTEREST_PARTS * config.attention_dim);
        let width = user.width + item.width + context.len() * dim + of_history;
        let cross = (0..config.cross_layers)
            .map(|at| builder.linear(&format!("cross.{at}"), width, width))
            .collect::<Result<_>>()?;
        let mut deep = Vec::with_capacity(config.hidden.len());
        let mut inputs = width;
        for (at, &hidden) in config.hidden.iter().enumerate() {
            deep.push(builder.linear(&format!("deep.{at}"), inputs, hidden)?);
            inputs = hidden;
        }
        let of_cross = if config.cross_layers > 0 { width } else { 0 };
        let of_deep = config.hidden.last().copied().unwrap_or(0);
        let head = builder.linear("head", of_cross + of_deep, 1)?;
        Ok(Model { user, item, context, interest, cross, deep, head, dropout: config.dropout })
    }

    /// Logits `[rows, 1]`. Dropout draws from `rng`; a tape for inference draws nothing.
    pub(super) fn forward(&self, tape: &mut Tape<'_>, batch: &Batch, rng: &mut ChaCha8Rng) -> Var {
        let mut parts = Vec::new();
        if let Some(users) = self.user.embed(tape, &batch.users) {
            parts.push(tape.select_rows(users, &batch.user_of_row));
        }
        let items = self.item.embed(tape, &batch.items).expect("items have a table");
        parts.push(tape.select_rows(items, &batch.item_of_row));
        for (&table, categories) in self.context.iter().zip(&batch.context) {
            parts.push(tape.gather(table, categories));
        }
        if let Some(interest) = &self.interest {
            parts.extend(interest.forward(tape, items, &batch.item_of_row, &batch.history));
        }
        let embedded = tape.concat(&parts);
        let embedded = tape.dropout(embedded, self.dropout, rng);
        let crossed = self.crossed(tape, embedded);
        let deep = self.deep(tape, embedded, rng);
        let both: Vec<Var> = crossed.into_iter().chain(deep).collect();
        let both = tape.concat(&both);
        self.head.forward(tape, both, Activation::Identity)
    }

    /// x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l (Wang et al. 2021, equation 1).
    fn crossed(&self, tape: &mut Tape<'_>, x0: Var) -> Option<Var> {
        let layer = |x, layer: &Linear| tape.cross(x0, x, layer.weight, layer.bias);
        (!self.cross.is_empty()).then(|| self.cross.iter().fold(x0, layer))
    }

    fn deep(&self, tape: &mut Tape<'_>, x: Var, rng: &mut ChaCha8Rng) -> Option<Var> {
        let mut x = x;
        for layer in &self.deep {
            x = layer.forward(tape, x, Activation::Relu);
            x = tape.dropout(x, self.dropout, rng);
        }
        (!self.deep.is_empty()).then_some(x)
    }
}

impl Entity {
    fn new(
        builder: &mut Builder<'_>,
        name: &str,
        schema: &EntitySchema,
        id_rows: Option<usize>,
        dim: usize,
    ) -> Result<Entity> {
        let id = id_rows.map(|rows| builder.table(&format!("{name}.id"), rows, dim)).transpose()?;
        let fields = tables(builder, &format!("{name}.field"), &schema.fields, dim)?;
        let bags = tables(builder, &format!("{name}.bag"), &schema.bags, dim)?;
        let sid = |(level, &codes): (usize, &u32)| {
            builder.table(&format!("{name}.sid.{level}"), codes as usize, dim)
        };
        let sids = schema.sid_levels.iter().enumerate().map(sid).collect::<Result<Vec<_>>>()?;
        let count = usize::from(id.is_some()) + fields.len() + bags.len() + sids.len();
        Ok(Entity { id, fields, bags, sids, width: count * dim })
    }

    /// All embeddings of each entity side by side; `None` where there is no table.
    fn embed(&self, tape: &mut Tape<'_>, batch: &EntityBatch) -> Option<Var> {
        let mut parts = Vec::new();
        if let Some(id) = self.id {
            parts.push(tape.gather(id, &batch.ids));
        }
        for (&table, rows) in self.fields.iter().zip(&batch.fields) {
            parts.push(tape.gather(table, rows));
        }
        for (&table, bag) in self.bags.iter().zip(&batch.bags) {
            let values = tape.gather(table, &bag.values);
            parts.push(tape.mean_runs(values, &bag.offsets));
        }
        for (&table, codes) in self.sids.iter().zip(&batch.sids) {
            parts.push(tape.gather(table, codes));
        }
        (!parts.is_empty()).then(|| tape.concat(&parts))
    }
}

/// Vectors that [`Interest::forward`] gives a row, each as wide as the attention.
const INTEREST_PARTS: usize = 3;

impl Interest {
    fn new(builder: &mut Builder<'_>, config: &RankerConfig, item: usize) -> Result<Interest> {
        let mut projection =
            |name: &str| builder.linear(&format!("interest.{name}"), item, config.attention_dim);
        let (query, key, value) = (projection("query")?, projection("key")?, projection("value")?);
        let age = builder.table("interest.age", config.history, config.attention_dim)?;
        Ok(Interest { query, key, value, age, heads: config.heads })
    }

    /// Target attention (Zhou et al. 2018, section 4.3, with scaled dot products for the
    /// activation unit): the candidate asks, the clicks answer. Returns the answer, its product
    /// with the candidate's own value, and the mean over all clicks.
    fn forward(
        &self,
        tape: &mut Tape<'_>,
        items: Var,
        item_of_row: &[u32],
        history: &HistoryBatch,
    ) -> [Var; INTEREST_PARTS] {
        let Packed { offsets, values: clicks } = &history.clicks;
        let queries = self.query.forward(tape, items, Activation::Identity);
        let queries = tape.select_rows(queries, item_of_row);
        let keys = self.key.forward(tape, items, Activation::Identity);
        let keys = tape.select_rows(keys, clicks);
        let ages = tape.gather(self.age, &history.ages);
        let keys = tape.add(keys, ages);
        let values_of_items = self.value.forward(tape, items, Activation::Identity);
        let values = tape.select_rows(values_of_items, clicks);
        let one_each: Vec<u32> = (0..=item_of_row.len() as u32).collect();
        let attention =
            Attention { heads: self.heads, queries: &one_each, keys: offsets, causal: false };
        let attended = tape.attention(queries, keys, values, &attention);
        let candidate = tape.select_rows(values_of_items, item_of_row);
        let agreement = tape.multiply(attended, candidate);
        [attended, agreement, tape.mean_runs(values, offsets)]
    }
}

/// One table a field.
fn tables(
    builder: &mut Builder<'_>,
    name: &str,
    fields: &[FieldSchema],
    dim: usize,
) -> Result<Vec<ParamId>> {
    let table = |field: &FieldSchema| {
        builder.table(&format!("{name}.{}", field.name), field.cardinality as usize, dim)
    };
    fields.iter().map(table).collect()
}
