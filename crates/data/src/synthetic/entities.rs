//! What items and users are, before anyone sees or clicks anything.

use rand::Rng;
use rand::seq::SliceRandom;

use super::MarketConfig;
use super::draw::{Discrete, normal};

/// Share of a topic's interest that its favourite sub-topic takes.
const FAVOURITE_SHARE: f64 = 0.7;

/// Share of all interest that is spread evenly.
const BACKGROUND_SHARE: f64 = 0.05;

/// Chance that a further topic of a user is from the home super-topic.
const HOME_CHANCE: f64 = 0.7;

/// The items' latent properties.
#[derive(Clone, Debug)]
pub(super) struct LatentItems {
    pub(super) topic: Vec<u32>,
    /// `topic * subtopics + sub-topic within the topic`.
    pub(super) subtopic: Vec<u32>,
    pub(super) appeal: Vec<f32>,
}

/// The users' latent properties.
#[derive(Clone, Debug)]
pub(super) struct LatentUsers {
    pub(super) home: Vec<u32>,
    pub(super) conformity: Vec<f32>,
    /// `θ`, row-major `[users, topics * subtopics]`; rows sum to 1.
    pub(super) interest: Vec<f32>,
}

pub(super) fn draw_items(config: &MarketConfig, rng: &mut impl Rng) -> LatentItems {
    let topics = Discrete::new((0..config.topics).map(|_| (0.4 * normal(rng)).exp()));
    let mut items = LatentItems { topic: vec![], subtopic: vec![], appeal: vec![] };
    for _ in 0..config.items {
        let topic = topics.draw(rng);
        let subtopic = topic * config.subtopics + rng.random_range(0..config.subtopics);
        items.topic.push(topic as u32);
        items.subtopic.push(subtopic as u32);
        items.appeal.push(normal(rng) as f32);
    }
    items
}

pub(super) fn draw_users(config: &MarketConfig, rng: &mut impl Rng) -> LatentUsers {
    let mut users = LatentUsers { home: vec![], conformity: vec![], interest: vec![] };
    for _ in 0..config.users {
        let home = rng.random_range(0..config.super_topics);
        let topics = draw_topics(config, home, rng);
        users.home.push(home as u32);
        users.conformity.push(rng.random());
        users.interest.extend(draw_interest(config, &topics, rng));
    }
    users
}

/// Two or three distinct topics, fewer where the market has fewer.
fn draw_topics(config: &MarketConfig, home: usize, rng: &mut impl Rng) -> Vec<usize> {
    let per_group = config.topics_per_group();
    let mut at_home: Vec<usize> = (home * per_group..(home + 1) * per_group).collect();
    let mut anywhere: Vec<usize> = (0..config.topics).collect();
    at_home.shuffle(rng);
    anywhere.shuffle(rng);
    let wanted = rng.random_range(2..=3).min(config.topics);
    let mut topics = Vec::with_capacity(wanted);
    while topics.len() < wanted {
        let home_next = topics.is_empty() || rng.random_bool(HOME_CHANCE);
        let pool = if home_next && !at_home.is_empty() { &mut at_home } else { &mut anywhere };
        if let Some(topic) = pool.pop()
            && !topics.contains(&topic)
        {
            topics.push(topic);
        }
    }
    topics
}

fn draw_interest(config: &MarketConfig, topics: &[usize], rng: &mut impl Rng) -> Vec<f32> {
    let size = config.topics * config.subtopics;
    let shares: Vec<f64> = topics.iter().map(|_| rng.random_range(0.5..1.5)).collect();
    let total: f64 = shares.iter().sum();
    let mut interest = vec![BACKGROUND_SHARE / size as f64; size];
    for (&topic, share) in topics.iter().zip(shares) {
        let share = (1.0 - BACKGROUND_SHARE) * share / total;
        let others = share * (1.0 - FAVOURITE_SHARE) / config.subtopics as f64;
        let first = topic * config.subtopics;
        interest[first..first + config.subtopics].iter_mut().for_each(|value| *value += others);
        interest[first + rng.random_range(0..config.subtopics)] += share * FAVOURITE_SHARE;
    }
    interest.into_iter().map(|value| value as f32).collect()
}
