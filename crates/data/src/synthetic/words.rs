//! Words and texts. Words are strings of syllables; none means anything.

use std::collections::HashSet;

use das_core::{EntityIds, Side};
use rand::Rng;

use super::MarketConfig;
use super::draw::Discrete;
use super::entities::{LatentItems, LatentUsers};
use crate::Result;
use crate::table::{ColumnKind, EntityTable, TextColumn};

const COMMON_WORDS: usize = 400;
const GROUP_WORDS: usize = 40;
const TOPIC_WORDS: usize = 30;
const SUBTOPIC_WORDS: usize = 6;

/// Shares of a text's words that come from its topic, its super-topic and its sub-topic; the
/// rest is common. Some two words a text are of the sub-topic: too few for texts to group by it.
const TOPIC_SHARE: f64 = 0.25;
const GROUP_SHARE: f64 = 0.20;
const SUBTOPIC_SHARE: f64 = 0.12;

/// Share of the items that are described with the words of another topic.
const MISDESCRIBED_SHARE: f64 = 0.1;

/// Chance that a user's declared interest is of the home super-topic.
const HONEST_SHARE: f64 = 0.8;

const ONSETS: [&str; 16] =
    ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "st"];
const VOWELS: [&str; 6] = ["a", "e", "i", "o", "u", "ai"];

/// Disjoint word lists.
pub(super) struct Vocabulary {
    common: WordList,
    /// By super-topic.
    groups: Vec<WordList>,
    /// By topic.
    topics: Vec<WordList>,
    /// By sub-topic, numbered over all topics.
    subtopics: Vec<WordList>,
    topics_per_group: usize,
    subtopics_per_topic: usize,
}

struct WordList {
    words: Vec<String>,
    frequency: Discrete,
}

impl WordList {
    fn new(size: usize, taken: &mut HashSet<String>, rng: &mut impl Rng) -> WordList {
        let mut words = Vec::with_capacity(size);
        while words.len() < size {
            let syllables = rng.random_range(2..=4);
            let pick =
                |list: &[&'static str], rng: &mut _| list[Rng::random_range(rng, 0..list.len())];
            let word: String =
                (0..syllables).flat_map(|_| [pick(&ONSETS, rng), pick(&VOWELS, rng)]).collect();
            if taken.insert(word.clone()) {
                words.push(word);
            }
        }
        WordList { words, frequency: Discrete::zipf(size) }
    }

    fn draw(&self, rng: &mut impl Rng) -> &str {
        &self.words[self.frequency.draw(rng)]
    }
}

impl Vocabulary {
    pub(super) fn new(config: &MarketConfig, rng: &mut impl Rng) -> Vocabulary {
        let mut taken = HashSet::new();
        let mut lists = |count: usize, size: usize, rng: &mut _| -> Vec<WordList> {
            (0..count).map(|_| WordList::new(size, &mut taken, rng)).collect()
        };
        let groups = lists(config.super_topics, GROUP_WORDS, rng);
        let topics = lists(config.topics, TOPIC_WORDS, rng);
        let subtopics = lists(config.topics * config.subtopics, SUBTOPIC_WORDS, rng);
        let common = WordList::new(COMMON_WORDS, &mut taken, rng);
        Vocabulary {
            common,
            groups,
            topics,
            subtopics,
            topics_per_group: config.topics_per_group(),
            subtopics_per_topic: config.subtopics,
        }
    }

    /// A text of `length` words about a sub-topic, numbered over all topics.
    fn text(&self, subtopic: usize, length: usize, rng: &mut impl Rng) -> String {
        let topic = subtopic / self.subtopics_per_topic;
        let mut words = Vec::with_capacity(length);
        for _ in 0..length {
            let source: f64 = rng.random();
            let list = if source < TOPIC_SHARE {
                &self.topics[topic]
            } else if source < TOPIC_SHARE + GROUP_SHARE {
                &self.groups[topic / self.topics_per_group]
            } else if source < TOPIC_SHARE + GROUP_SHARE + SUBTOPIC_SHARE {
                &self.subtopics[subtopic]
            } else {
                &self.common
            };
            words.push(list.draw(rng));
        }
        words.join(" ")
    }
}

/// Items `0, 1, …` with title and description.
pub(super) fn item_table(
    config: &MarketConfig,
    vocabulary: &Vocabulary,
    items: &LatentItems,
    rng: &mut impl Rng,
) -> Result<EntityTable> {
    let mut titles = TextColumn::new("title", ColumnKind::Text);
    let mut descriptions = TextColumn::new("description", ColumnKind::Text);
    for &subtopic in &items.subtopic {
        let described = if rng.random_bool(MISDESCRIBED_SHARE) {
            rng.random_range(0..config.topics * config.subtopics)
        } else {
            subtopic as usize
        };
        let (title_words, words) = (rng.random_range(4..=6), rng.random_range(8..=12));
        titles.push([vocabulary.text(described, title_words, rng).as_str()]);
        descriptions.push([vocabulary.text(described, words, rng).as_str()]);
    }
    let ids = EntityIds::Int((0..items.topic.len() as i64).collect());
    EntityTable::new(Side::Item, "items.parquet".as_ref(), ids, vec![titles, descriptions])
}

/// Users `0, 1, …` with age and region, which mean nothing, and some declared interests.
pub(super) fn user_table(
    vocabulary: &Vocabulary,
    users: &LatentUsers,
    rng: &mut impl Rng,
) -> Result<EntityTable> {
    const REGIONS: [&str; 8] =
        ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
    let mut ages = TextColumn::new("age", ColumnKind::Number);
    let mut regions = TextColumn::new("region", ColumnKind::Text);
    let mut interests = TextColumn::new("interests", ColumnKind::List);
    for &home in &users.home {
        ages.push([rng.random_range(18..=70).to_string().as_str()]);
        regions.push([REGIONS[rng.random_range(0..REGIONS.len())]]);
        let words: Vec<&str> = (0..3)
            .map(|_| {
                let honest = rng.random_bool(HONEST_SHARE);
                let any = rng.random_range(0..vocabulary.groups.len());
                vocabulary.groups[if honest { home as usize } else { any }].draw(rng)
            })
            .collect();
        interests.push(words);
    }
    let ids = EntityIds::Int((0..users.home.len() as i64).collect());
    EntityTable::new(Side::User, "users.parquet".as_ref(), ids, vec![ages, regions, interests])
}
