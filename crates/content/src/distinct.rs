//! Texts of which each is to be asked about once.

use std::collections::HashMap;

/// Distinct texts, in the order of their first occurrence.
#[derive(Default)]
pub(crate) struct Distinct<'a> {
    slots: HashMap<&'a str, usize>,
    /// The texts.
    pub(crate) texts: Vec<&'a str>,
}

impl<'a> Distinct<'a> {
    /// The place of `text` among the distinct ones.
    pub(crate) fn slot(&mut self, text: &'a str) -> usize {
        *self.slots.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }
}
