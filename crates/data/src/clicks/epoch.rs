//! Drawing an epoch: the clicks shuffled, a co-click partner for each side.

use das_core::clicks::NO_PARTNER;
use das_core::{ClickEpoch, streams};
use rand::seq::SliceRandom;
use rand::{Rng, RngCore};
use rayon::prelude::*;

use super::TrainingClicks;

/// Clicks that share one generator; fixed, so that no result depends on the number of threads.
const CHUNK: usize = 1 << 14;

/// The epoch `epoch` under `seed`.
pub(super) fn draw(clicks: &TrainingClicks, seed: u64, epoch: u64) -> ClickEpoch {
    let mut rng = streams::stream(seed, "clicks/shuffle", epoch);
    let partner_seed = rng.next_u64();
    let mut order: Vec<u32> = (0..clicks.sequence.len() as u32).collect();
    order.shuffle(&mut rng);

    let mut co_users = vec![0; order.len()];
    let mut co_items = vec![0; order.len()];
    order
        .par_chunks(CHUNK)
        .zip(co_users.par_chunks_mut(CHUNK).zip(co_items.par_chunks_mut(CHUNK)))
        .enumerate()
        .for_each(|(chunk, (order, (co_users, co_items)))| {
            let mut rng = streams::stream(partner_seed, "clicks/partners", chunk as u64);
            for (&click, (co_user, co_item)) in
                order.iter().zip(co_users.iter_mut().zip(co_items.iter_mut()))
            {
                *co_user = draw_co_user(clicks, click as usize, &mut rng);
                *co_item = draw_co_item(clicks, click as usize, &mut rng);
            }
        });
    let at = |values: &[u32]| order.par_iter().map(|&click| values[click as usize]).collect();
    ClickEpoch {
        users: at(&clicks.clickers),
        items: at(&clicks.sequence),
        co_users,
        co_items,
        weights: match &clicks.weights {
            Some(weights) => order.iter().map(|&click| weights[click as usize]).collect(),
            None => vec![1.0; order.len()],
        },
    }
}

/// Another user of the clicked item, uniformly.
fn draw_co_user(clicks: &TrainingClicks, click: usize, rng: &mut impl Rng) -> u32 {
    draw_other(clicks.users_of.get(clicks.sequence[click]), clicks.clickers[click], rng)
}

fn draw_co_item(clicks: &TrainingClicks, click: usize, rng: &mut impl Rng) -> u32 {
    let (user, item) = (clicks.clickers[click], clicks.sequence[click]);
    match clicks.co_click.window {
        None => draw_other(clicks.items_of.get(user), item, rng),
        Some(window) => {
            let sequence = clicks.sequence_of(user);
            let at = click - clicks.starts[user as usize];
            let first = at.saturating_sub(window);
            let last = at.saturating_add(window).saturating_add(1).min(sequence.len());
            draw_near(&sequence[first..last], item, rng)
        }
    }
}

/// A member of the set other than `this`, uniformly. `this` is a member.
fn draw_other(set: &[u32], this: u32, rng: &mut impl Rng) -> u32 {
    let Some((&last, rest)) = set.split_last() else { return NO_PARTNER };
    if rest.is_empty() {
        return NO_PARTNER;
    }
    // One draw among all but the last; the last stands in for `this`.
    let drawn = rest[rng.random_range(0..rest.len())];
    if drawn == this { last } else { drawn }
}

/// An item of the window other than `item`, each place alike.
fn draw_near(window: &[u32], item: u32, rng: &mut impl Rng) -> u32 {
    let others = || window.iter().copied().filter(|&other| other != item);
    let count = others().count();
    if count == 0 {
        return NO_PARTNER;
    }
    others().nth(rng.random_range(0..count)).unwrap_or(NO_PARTNER)
}
