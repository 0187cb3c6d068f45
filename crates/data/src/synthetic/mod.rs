//! A small ad market whose truth is known, for demonstrations and tests.
//!
//! # The generative model
//!
//! *Items.* Topics `t` belong to super-topics; each topic has sub-topics `s`. Item `i` has a
//! topic `t_i` (mildly skewed over topics), a sub-topic `s_i` (uniform within it) and an appeal
//! `a_i ~ N(0, 1)`. Its title and description mix words of its topic, of its super-topic and of
//! the whole market, and a word or two of its sub-topic; one item in ten is described with the
//! words of another sub-topic. So texts group by topic, while clicks follow sub-topics: who learns
//! from clicks can learn which words matter, and who reads texts alone cannot.
//!
//! *Users.* User `u` has a home super-topic and two or three topics, mostly from home. The
//! interest `θ_u` is a distribution over all sub-topics: of each of its topics one sub-topic is
//! the favourite and takes 70 % of the topic's share; 5 % of the whole is spread evenly. The
//! conformity `κ_u ~ U(0, 1)` says how far `u` follows what is popular.
//!
//! *Exposure.* In each round each user gets the same number of slots, never an item twice. A
//! slot is filled, with the shares of [`MarketConfig`], by popularity
//! (`P(i) ∝ (1 + n_i)^γ`, `n_i` the clicks of `i` in earlier rounds), by targeting (a topic
//! drawn from `θ_u`, then any item of it), or evenly; in unbiased rounds, which come last, always evenly: what
//! is clicked there is liked, not merely shown. In the others early luck and appeal are amplified
//! from round to round: items are seen because they were clicked before.
//!
//! *Clicks.* `P(click | u, i) = σ(b + w_m θ_u(t_i, s_i) / max θ_u + w_c κ_u z_i + w_a a_i)`,
//! with the popularity `z_i = clamp(ln((1 + n_i) / (1 + mean n)), −3, 3)`. A click is a row with
//! label 1, any other exposure a row with label 0.
//!
//! A method that separates interest from conformity can thus be held against `θ`, `κ`, the
//! sub-topics and the exposure bias of [`Truth`].

mod behaviour;
mod draw;
mod entities;
mod truth;
mod words;

use std::path::Path;

use das_core::streams;
use serde::{Deserialize, Serialize};

pub use truth::Truth;

use crate::interactions::LogColumns;
use crate::table::EntityTable;
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// The size of a market and how it exposes items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConfig {
    /// Number of users.
    pub users: usize,
    /// Number of items.
    pub items: usize,
    /// Number of super-topics; a divisor of `topics`.
    pub super_topics: usize,
    /// Number of topics.
    pub topics: usize,
    /// Sub-topics of each topic, at which texts only hint.
    pub subtopics: usize,
    /// Rounds of exposure.
    pub rounds: usize,
    /// Items that a user sees in a round.
    pub slots: usize,
    /// Share of the slots that are filled by popularity.
    pub popularity_share: f64,
    /// Share of the slots that are targeted at the user's topics; the rest is filled evenly.
    pub targeted_share: f64,
    /// Last rounds in which every slot is filled evenly: a test on what people like, whatever
    /// they were shown before.
    pub unbiased_rounds: usize,
}

impl Default for MarketConfig {
    fn default() -> MarketConfig {
        MarketConfig {
            users: 4000,
            items: 3000,
            super_topics: 8,
            topics: 40,
            subtopics: 4,
            rounds: 10,
            slots: 12,
            popularity_share: 0.4,
            targeted_share: 0.45,
            unbiased_rounds: 0,
        }
    }
}

impl MarketConfig {
    fn validate(&self) -> Result<()> {
        let sizes = [
            ("users", self.users),
            ("items", self.items),
            ("super_topics", self.super_topics),
            ("topics", self.topics),
            ("subtopics", self.subtopics),
            ("rounds", self.rounds),
            ("slots", self.slots),
        ];
        for (name, size) in sizes {
            if size == 0 || u32::try_from(size).is_err() {
                return Err(Error::Config(format!("market {name}: {size} is out of range")));
            }
        }
        if !self.topics.is_multiple_of(self.super_topics) {
            let (topics, groups) = (self.topics, self.super_topics);
            let message =
                format!("market topics: {topics} is no multiple of {groups} super-topics");
            return Err(Error::Config(message));
        }
        let exposures = self.rounds.saturating_mul(self.slots);
        if exposures > self.items / 2 {
            let message = format!(
                "market slots: {exposures} exposures a user, expected at most half of the {} items",
                self.items
            );
            return Err(Error::Config(message));
        }
        if u32::try_from(exposures.saturating_mul(self.users)).is_err() {
            return Err(Error::Config("market: more than 2^32 exposures".into()));
        }
        if self.unbiased_rounds >= self.rounds {
            let (unbiased, rounds) = (self.unbiased_rounds, self.rounds);
            let message = format!(
                "market unbiased_rounds: {unbiased}, expected less than the {rounds} rounds"
            );
            return Err(Error::Config(message));
        }
        let shares = [self.popularity_share, self.targeted_share];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share))
            || shares.iter().sum::<f64>() > 1.0
        {
            let message = format!("market shares: {shares:?}, expected parts of 1");
            return Err(Error::Config(message));
        }
        Ok(())
    }

    /// Topics of one super-topic.
    fn topics_per_group(&self) -> usize {
        self.topics / self.super_topics
    }
}

/// A generated market: the data set and the truth behind it.
#[derive(Clone, Debug)]
pub struct Market {
    /// Items with `title` and `description`.
    pub items: EntityTable,
    /// Users with `age`, `region` and `interests`, some words of what they like.
    pub users: EntityTable,
    /// Clicks and exposures in the order of time.
    pub log: LogColumns,
    /// What the data was drawn from.
    pub truth: Truth,
}

impl Market {
    /// Draws a market; the same configuration and seed give the same market.
    pub fn generate(config: &MarketConfig, seed: u64) -> Result<Market> {
        config.validate()?;
        let stream = |purpose| streams::stream(seed, purpose, 0);
        let latent_items = entities::draw_items(config, &mut stream("market/items"));
        let latent_users = entities::draw_users(config, &mut stream("market/users"));
        let vocabulary = words::Vocabulary::new(config, &mut stream("market/words"));
        let log =
            behaviour::simulate(config, &latent_items, &latent_users, &mut stream("market/clicks"));
        let mut texts = stream("market/texts");
        Ok(Market {
            items: words::item_table(config, &vocabulary, &latent_items, &mut texts)?,
            users: words::user_table(&vocabulary, &latent_users, &mut texts)?,
            truth: Truth::new(config, latent_items, latent_users, &log),
            log,
        })
    }

    /// Writes the market as a data-set folder, with the truth beside it in `item_truth.parquet`
    /// and `user_truth.parquet`.
    pub fn write(&self, out: &Path) -> Result<()> {
        let writer = DataSetWriter::create(out)?;
        writer.write_interactions(&self.log, self.users.ids(), self.items.ids())?;
        writer.write_table(&self.items)?;
        writer.write_table(&self.users)?;
        self.truth.write(&writer, self.users.ids(), self.items.ids())?;
        writer.publish()
    }
}
