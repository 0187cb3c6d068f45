//! Whether a user's code tells the codes of the items it clicks.

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::information::PairEntropies;
use crate::sid::SidTable;
use crate::{Error, Result};

/// Mutual information between the first code of the user and that of the item, over clicks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DualInformation {
    /// Clicks.
    pub pairs: usize,
    /// Plug-in estimate in nats. It is biased upwards by chance coincidences.
    pub mi: f64,
    /// The same with the items shuffled among the clicks, mean of several shuffles: the bias.
    pub mi_shuffled: f64,
    /// mi − mi_shuffled.
    pub excess: f64,
}

/// Estimates it from clicks (user row, item row); `shuffles` of 5 are plenty.
pub fn dual_information(
    users: &SidTable,
    items: &SidTable,
    clicks: &[(u32, u32)],
    shuffles: usize,
    rng: &mut impl Rng,
) -> Result<DualInformation> {
    let known =
        |click: &&(u32, u32)| (click.0 as usize) < users.len() && (click.1 as usize) < items.len();
    if let Some((user, item)) = clicks.iter().find(|click| !known(click)) {
        return Err(Error::Invalid(format!(
            "click of user row {user} on item row {item} with {} users and {} items",
            users.len(),
            items.len()
        )));
    }
    let user_codes: Vec<u32> = clicks.iter().map(|click| users.row(click.0 as usize)[0]).collect();
    let mut item_codes: Vec<u32> =
        clicks.iter().map(|click| items.row(click.1 as usize)[0]).collect();
    let width = |table: &SidTable| table.layout().codebook_sizes()[0] as usize;
    let (user_width, item_width) = (width(users), width(items));
    let information = |item_codes: &[u32]| {
        PairEntropies::of(&user_codes, user_width, item_codes, item_width).mutual_information()
    };
    let mi = information(&item_codes);
    let shuffled: Vec<f64> = (0..shuffles)
        .map(|_| {
            item_codes.shuffle(rng);
            information(&item_codes)
        })
        .collect();
    let mi_shuffled = shuffled.iter().sum::<f64>() / shuffles.max(1) as f64;
    Ok(DualInformation { pairs: clicks.len(), mi, mi_shuffled, excess: mi - mi_shuffled })
}
