//! The two sides that DAS tokenizes.

use serde::{Deserialize, Serialize};

/// Which of the two towers: users or items. They never share weights or input widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Users.
    User,
    /// Items (ads, videos, products).
    Item,
}

impl Side {
    /// Both sides, in the order in which they are stored and reported.
    pub const BOTH: [Side; 2] = [Side::User, Side::Item];

    /// `user` or `item`: the name in configs, file names and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Side::User => "user",
            Side::Item => "item",
        }
    }

    /// The id column of this side in every table: `user_id` or `item_id`.
    pub fn id_column(self) -> &'static str {
        match self {
            Side::User => "user_id",
            Side::Item => "item_id",
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
