//! The behaviour a tokenizer trains on, as plain rows: no files, no ids, no test part.

/// Marks a click for which no co-click partner could be drawn.
pub const NO_PARTNER: u32 = u32::MAX;

/// The training part of a click log. Users and items are dense row numbers.
///
/// `das-data` implements it from the training split alone; a trainer can therefore not see a
/// validation or test row.
pub trait Clicks: Send + Sync {
    /// Number of users, clicked in training or not.
    fn num_users(&self) -> usize;

    /// Number of items, clicked in training or not.
    fn num_items(&self) -> usize;

    /// Number of training clicks: the length of an epoch.
    fn num_clicks(&self) -> usize;

    /// The distinct items that `user` clicked in training, ascending.
    fn items_of(&self, user: u32) -> &[u32];

    /// Training clicks per user.
    fn user_clicks(&self) -> &[u32];

    /// Training clicks per item.
    fn item_clicks(&self) -> &[u32];

    /// Training exposures per item (rows of any label); equal to the clicks where the log has
    /// none but clicks.
    fn item_exposures(&self) -> &[u32];

    /// Training exposures per user.
    fn user_exposures(&self) -> &[u32];

    /// All training clicks once, shuffled, with freshly drawn partners: a pure function of
    /// `seed` and `epoch`.
    fn epoch(&self, seed: u64, epoch: u64) -> ClickEpoch;
}

/// One pass over the clicks, as columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClickEpoch {
    /// The user who clicked.
    pub users: Vec<u32>,
    /// The item clicked.
    pub items: Vec<u32>,
    /// Another user who clicked the same item, or [`NO_PARTNER`].
    pub co_users: Vec<u32>,
    /// Another item that the same user clicked, or [`NO_PARTNER`].
    pub co_items: Vec<u32>,
    /// The click's weight, 1 where the log has none.
    pub weights: Vec<f32>,
}

impl ClickEpoch {
    /// Number of clicks.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// Held-out clicks with what came before them, for validation and for agreement metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldOut {
    /// The user of each held-out click.
    pub users: Vec<u32>,
    /// The held-out item.
    pub items: Vec<u32>,
    /// The same user's last training items, newest last; never empty.
    pub histories: Vec<Vec<u32>>,
}

impl HeldOut {
    /// Pairs (held-out item, training item of the same user), one per history entry.
    pub fn item_pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.items
            .iter()
            .zip(&self.histories)
            .flat_map(|(&item, history)| history.iter().map(move |&past| (item, past)))
    }
}
