//! Exposure and clicks, round by round.

use rand::Rng;

use super::MarketConfig;
use super::draw::Discrete;
use super::entities::{LatentItems, LatentUsers};
use crate::interactions::{LogColumns, OrderKind};

/// `γ`: how strongly the policy favours what was clicked.
const POLICY_EXPONENT: f64 = 1.4;

/// `b`, `w_m`, `w_c`, `w_a` of the click model.
const BIAS: f64 = -2.7;
const MATCH_WEIGHT: f64 = 5.4;
const CONFORMITY_WEIGHT: f64 = 1.2;
const APPEAL_WEIGHT: f64 = 0.5;

/// The first second of the log and the length of a round.
const START: i64 = 1_700_000_000;
const ROUND_SECONDS: i64 = 86_400;

/// One shown item.
struct Exposure {
    time: i64,
    user: u32,
    item: u32,
    clicked: bool,
}

pub(super) fn simulate(
    config: &MarketConfig,
    items: &LatentItems,
    users: &LatentUsers,
    rng: &mut impl Rng,
) -> LogColumns {
    let market = Simulation::new(config, items, users);
    let mut clicks = vec![0u32; config.items];
    let mut seen: Vec<Vec<u32>> = vec![Vec::new(); config.users];
    let mut log = Vec::with_capacity(config.users * config.rounds * config.slots);
    for round in 0..config.rounds {
        let popularity = Popularity::new(&clicks);
        let biased = round + config.unbiased_rounds < config.rounds;
        let start = START + round as i64 * ROUND_SECONDS;
        let first = log.len();
        for (user, seen) in seen.iter_mut().enumerate() {
            for _ in 0..config.slots {
                let policy = biased.then_some(&popularity);
                let item = market.draw_unseen(user, policy, seen, rng);
                seen.push(item as u32);
                let clicked = rng.random_bool(market.click_chance(user, item, &popularity));
                let time = start + rng.random_range(0..ROUND_SECONDS);
                log.push(Exposure { time, user: user as u32, item: item as u32, clicked });
            }
        }
        for exposure in log[first..].iter().filter(|exposure| exposure.clicked) {
            clicks[exposure.item as usize] += 1;
        }
    }
    log.sort_by_key(|exposure| exposure.time);
    LogColumns {
        users: log.iter().map(|exposure| exposure.user).collect(),
        items: log.iter().map(|exposure| exposure.item).collect(),
        order_kind: OrderKind::Timestamp,
        order: log.iter().map(|exposure| exposure.time).collect(),
        labels: Some(log.iter().map(|exposure| exposure.clicked).collect()),
        weights: None,
        ratings: None,
    }
}

/// The popularity of the items at the start of a round.
struct Popularity {
    policy: Discrete,
    /// `z_i`.
    level: Vec<f64>,
}

impl Popularity {
    fn new(clicks: &[u32]) -> Popularity {
        let mean = clicks.iter().map(|&n| f64::from(n)).sum::<f64>() / clicks.len() as f64;
        let level = |&n: &u32| ((1.0 + f64::from(n)) / (1.0 + mean)).ln().clamp(-3.0, 3.0);
        Popularity {
            policy: Discrete::new(
                clicks.iter().map(|&n| (1.0 + f64::from(n)).powf(POLICY_EXPONENT)),
            ),
            level: clicks.iter().map(level).collect(),
        }
    }
}

/// What does not change between rounds.
struct Simulation<'a> {
    config: &'a MarketConfig,
    items: &'a LatentItems,
    users: &'a LatentUsers,
    items_of_topic: Vec<Vec<usize>>,
    /// Per user: the topics by interest, and the largest sub-topic interest.
    topics: Vec<Discrete>,
    peak: Vec<f64>,
}

impl<'a> Simulation<'a> {
    fn new(config: &'a MarketConfig, items: &'a LatentItems, users: &'a LatentUsers) -> Self {
        let mut items_of_topic = vec![Vec::new(); config.topics];
        for (item, &topic) in items.topic.iter().enumerate() {
            items_of_topic[topic as usize].push(item);
        }
        let rows = || users.interest.chunks_exact(config.topics * config.subtopics);
        let by_topic = |row: &[f32]| {
            Discrete::new(
                row.chunks_exact(config.subtopics)
                    .map(|topic| f64::from(topic.iter().sum::<f32>())),
            )
        };
        Simulation {
            config,
            items,
            users,
            items_of_topic,
            topics: rows().map(by_topic).collect(),
            peak: rows().map(|row| f64::from(row.iter().copied().fold(0.0, f32::max))).collect(),
        }
    }

    fn draw_unseen(
        &self,
        user: usize,
        policy: Option<&Popularity>,
        seen: &[u32],
        rng: &mut impl Rng,
    ) -> usize {
        // At most half of the items are ever seen, so an even draw ends the loop soon even
        // where a popular or targeted pool is used up.
        loop {
            let item = match policy {
                Some(popularity) => self.draw_item(user, popularity, rng),
                None => rng.random_range(0..self.config.items),
            };
            if !seen.contains(&(item as u32)) {
                return item;
            }
        }
    }

    fn draw_item(&self, user: usize, popularity: &Popularity, rng: &mut impl Rng) -> usize {
        let slot: f64 = rng.random();
        let targeted = self.config.popularity_share + self.config.targeted_share;
        if slot < self.config.popularity_share {
            return popularity.policy.draw(rng);
        }
        if slot < targeted {
            let pool = &self.items_of_topic[self.topics[user].draw(rng)];
            if !pool.is_empty() {
                return pool[rng.random_range(0..pool.len())];
            }
        }
        rng.random_range(0..self.config.items)
    }

    fn click_chance(&self, user: usize, item: usize, popularity: &Popularity) -> f64 {
        let width = self.config.topics * self.config.subtopics;
        let interest = self.users.interest[user * width + self.items.subtopic[item] as usize];
        let matching = f64::from(interest) / self.peak[user];
        let conformity = f64::from(self.users.conformity[user]) * popularity.level[item];
        let score = BIAS
            + MATCH_WEIGHT * matching
            + CONFORMITY_WEIGHT * conformity
            + APPEAL_WEIGHT * f64::from(self.items.appeal[item]);
        1.0 / (1.0 + (-score).exp())
    }
}
