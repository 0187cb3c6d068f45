//! ICDM: the ID-based collaborative model, split into unbiased and biased parts (paper).
//!
//! Four embedding tables: user interest c_u^int and conformity c_u^con, item property c_i^pro and
//! popularity c_i^pop; towers c_u = MLP(c_u^int ⊕ c_u^con), c_i = MLP(c_i^pro ⊕ c_i^pop).
//! L_cf = L(c_u, c_i) [biased] + L(c_u^int, c_i^pro) [unbiased] + L_debias, where L_debias pulls
//! the biased parts to vectors made of popularity features and keeps the two parts orthogonal.
//! Log-bucketed counts as those features, the mean squared distance as the pull and the squared
//! cosine as orthogonality are ours.

use das_core::{Clicks, Side};
use das_nn::{InfoNce, ParamId, ParamKind, Params, Tape, Var};
use rand::Rng;

use crate::Result;
use crate::batch::{Batch, SideBatch};
use crate::config::ModelConfig;
use crate::layers::{Mlp, normal};
use crate::step::DasTerms;
use crate::terms::Term;

/// Half-octave buckets of log2(1 + count) reach past 2³⁰ counts.
const BUCKETS: usize = 64;
/// Initial spread of ID embeddings.
const TABLE_DEVIATION: f32 = 0.1;

/// Two bucketed popularity features of every entity of one side.
#[derive(Clone, Debug, PartialEq)]
pub struct PopularityFeatures {
    first: Vec<u32>,
    second: Vec<u32>,
}

impl PopularityFeatures {
    /// Items: exposures and clicks. Users: exposures and the mean popularity of what they click.
    pub fn new(clicks: &dyn Clicks, side: Side) -> PopularityFeatures {
        let bucket = |value: f64| ((value * 2.0) as u32).min(BUCKETS as u32 - 1);
        let counts = |counts: &[u32]| counts.iter().map(|&c| bucket(log2_count(c))).collect();
        match side {
            Side::Item => PopularityFeatures {
                first: counts(clicks.item_exposures()),
                second: counts(clicks.item_clicks()),
            },
            Side::User => {
                let item_clicks = clicks.item_clicks();
                let mean_popularity = |user| {
                    let items = clicks.items_of(user);
                    let sum: f64 = items.iter().map(|&i| log2_count(item_clicks[i as usize])).sum();
                    sum / items.len().max(1) as f64
                };
                PopularityFeatures {
                    first: counts(clicks.user_exposures()),
                    second: (0..clicks.num_users() as u32)
                        .map(|user| bucket(mean_popularity(user)))
                        .collect(),
                }
            }
        }
    }

    /// All entities in the lowest bucket: for use where the popularity pull is off.
    pub fn none(rows: usize) -> PopularityFeatures {
        PopularityFeatures { first: vec![0; rows], second: vec![0; rows] }
    }
}

fn log2_count(count: u32) -> f64 {
    f64::from(count).ln_1p() / std::f64::consts::LN_2
}

/// The names of a side's unbiased and biased tables.
pub fn table_names(side: Side) -> [&'static str; 2] {
    match side {
        Side::User => ["user.interest", "user.conformity"],
        Side::Item => ["item.property", "item.popularity"],
    }
}

/// The ID tables, tower and popularity features of one side.
#[derive(Clone, Debug)]
struct IdSide {
    unbiased: ParamId,
    biased: Option<BiasedPart>,
}

/// What `debias = false` does without.
#[derive(Clone, Debug)]
struct BiasedPart {
    table: ParamId,
    tower: Mlp,
    bucket_tables: [ParamId; 2],
    popularity_head: Mlp,
    features: PopularityFeatures,
}

/// The ID-based collaborative model of both sides.
#[derive(Clone, Debug)]
pub(crate) struct Icdm {
    user: IdSide,
    item: IdSide,
}

/// The L2-normalised unbiased embeddings of a batch's clicks, the teachers of MDAM.
pub(crate) struct Unbiased {
    pub(crate) interest: Var,
    pub(crate) property: Var,
}

impl Icdm {
    /// Registers tables for `rows` users and items.
    pub(crate) fn new(
        params: &mut Params,
        features: [PopularityFeatures; 2],
        config: &ModelConfig,
        rng: &mut impl Rng,
    ) -> Result<Icdm> {
        let [user, item] = features;
        Ok(Icdm {
            user: IdSide::new(params, Side::User, user, config, rng)?,
            item: IdSide::new(params, Side::Item, item, config, rng)?,
        })
    }

    /// Adds the terms of L_cf and returns what the alignments need.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape<'_>,
        batch: &Batch,
        terms: &mut DasTerms<'_>,
    ) -> Unbiased {
        let config = terms.config;
        let mut user = self.user.embed(tape, &batch.user);
        user.unbiased = self.propagated(tape, user.unbiased, &batch.user);
        let item = self.item.embed(tape, &batch.item);
        let unbiased = Unbiased {
            interest: tape.normalize(user.unbiased),
            property: tape.normalize(item.unbiased),
        };
        let contrast = InfoNce {
            mask: batch.positives.as_ref(),
            row_weights: batch.weights.as_deref(),
            ..config.info_nce()
        };
        if config.enabled(Term::CfBiased)
            && let Some(c_u) = self.user.collaborative(tape, &user)
            && let Some(c_i) = self.item.collaborative(tape, &item)
        {
            let corrected = InfoNce {
                log_q: config.log_q.then_some(&batch.item.log_q),
                log_q_rows: config.log_q.then_some(&batch.user.log_q),
                ..contrast
            };
            terms.add(Term::CfBiased, tape.info_nce(c_u, c_i, &corrected));
        }
        if config.enabled(Term::CfUnbiased) {
            let loss = tape.info_nce(unbiased.interest, unbiased.property, &contrast);
            terms.add(Term::CfUnbiased, loss);
        }
        if let (true, Some(partners)) = (config.enabled(Term::CfItems), &batch.item.partners) {
            let other = tape.gather(self.item.unbiased, &partners.ids);
            let other = tape.normalize(other);
            let loss = tape.info_nce(unbiased.property, other, &partners.contrast(config));
            terms.add(Term::CfItems, loss);
        }
        self.user.debias(tape, &user, &batch.user, [Term::OrthU, Term::PullU], terms);
        self.item.debias(tape, &item, &batch.item, [Term::OrthI, Term::PullI], terms);
        unbiased
    }

    /// What the alignments need, through which no gradient flows.
    pub(crate) fn frozen(&self, tape: &mut Tape<'_>, batch: &Batch) -> Unbiased {
        let own = tape.gather(self.user.unbiased, &batch.user.ids);
        let interest = self.propagated(tape, own, &batch.user);
        let property = tape.gather(self.item.unbiased, &batch.item.ids);
        let mut teacher = |ids: Var| {
            let ids = tape.detach(ids);
            tape.normalize(ids)
        };
        Unbiased { interest: teacher(interest), property: teacher(property) }
    }

    /// Adds the properties of other items that the users clicked to their own interest.
    fn propagated(&self, tape: &mut Tape<'_>, interest: Var, users: &SideBatch) -> Var {
        if users.clicked.is_empty() {
            return interest;
        }
        let bag = users.clicked.len() / users.ids.len();
        let liked = tape.gather_bag(self.item.unbiased, &users.clicked, bag);
        tape.add(interest, liked)
    }
}

/// The embeddings of a batch's clicks on one side.
struct IdVars {
    unbiased: Var,
    biased: Option<Var>,
}

impl IdSide {
    fn new(
        params: &mut Params,
        side: Side,
        features: PopularityFeatures,
        config: &ModelConfig,
        rng: &mut impl Rng,
    ) -> Result<IdSide> {
        let (rows, dim) = (features.first.len(), config.code_dim);
        let mut table = |params: &mut Params, name: &str, rows: usize| {
            let values = normal(rows * dim, TABLE_DEVIATION, rng);
            params.add(name, ParamKind::Table, rows, dim, &values)
        };
        let [unbiased, biased] = table_names(side);
        let unbiased = table(params, unbiased, rows)?;
        if !config.debias {
            return Ok(IdSide { unbiased, biased: None });
        }
        let biased = table(params, biased, rows)?;
        let bucket_tables = [
            table(params, &format!("{side}.popularity_features.0"), BUCKETS)?,
            table(params, &format!("{side}.popularity_features.1"), BUCKETS)?,
        ];
        let tower = Mlp::new(params, &format!("{side}.tower"), &[2 * dim, 2 * dim, dim], rng)?;
        let head = format!("{side}.popularity_head");
        let popularity_head = Mlp::new(params, &head, &[2 * dim, dim], rng)?;
        let part = BiasedPart { table: biased, tower, bucket_tables, popularity_head, features };
        Ok(IdSide { unbiased, biased: Some(part) })
    }

    fn embed(&self, tape: &mut Tape<'_>, batch: &SideBatch) -> IdVars {
        IdVars {
            unbiased: tape.gather(self.unbiased, &batch.ids),
            biased: self.biased.as_ref().map(|part| tape.gather(part.table, &batch.ids)),
        }
    }

    /// The tower over both parts, L2-normalised; none without a biased part.
    fn collaborative(&self, tape: &mut Tape<'_>, ids: &IdVars) -> Option<Var> {
        let both = tape.concat(&[ids.unbiased, ids.biased?]);
        let tower = self.biased.as_ref()?.tower.forward(tape, both);
        Some(tape.normalize(tower))
    }

    /// Adds the terms that keep the parts apart and pull the biased one to popularity.
    fn debias(
        &self,
        tape: &mut Tape<'_>,
        ids: &IdVars,
        batch: &SideBatch,
        [orthogonal, pull]: [Term; 2],
        terms: &mut DasTerms<'_>,
    ) {
        let (Some(part), Some(biased)) = (&self.biased, ids.biased) else { return };
        if terms.config.enabled(orthogonal) {
            terms.add(orthogonal, tape.squared_cosine(ids.unbiased, biased));
        }
        if terms.config.enabled(pull) {
            terms.add(pull, part.popularity_pull(tape, biased, &batch.ids));
        }
    }
}

impl BiasedPart {
    /// Mean over rows of ‖biased − popularity vector‖².
    fn popularity_pull(&self, tape: &mut Tape<'_>, biased: Var, ids: &[u32]) -> Var {
        let buckets = |of: &[u32]| ids.iter().map(|&id| of[id as usize]).collect::<Vec<_>>();
        let first = tape.gather(self.bucket_tables[0], &buckets(&self.features.first));
        let second = tape.gather(self.bucket_tables[1], &buckets(&self.features.second));
        let both = tape.concat(&[first, second]);
        let target = self.popularity_head.forward(tape, both);
        tape.mse(biased, target, 1.0 / ids.len() as f32)
    }
}
