//! Lists in requests, bounded while they are read: a byte or two of JSON make an entry of many.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Most entries of a list; above every limit on rows, so that those are what clients hear of.
pub const MOST: usize = 1 << 16;

/// Reads a list of at most [`MOST`] entries.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Bounded(PhantomData))
}

/// The same, or null.
pub fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    Ok(Option::<List<T>>::deserialize(deserializer)?.map(|list| list.0))
}

/// A list of such lists.
pub fn nested<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<Vec<T>>, D::Error> {
    let lists: Vec<List<T>> = list(deserializer)?;
    Ok(lists.into_iter().map(|list| list.0).collect())
}

struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        list(deserializer).map(List)
    }
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::custom(format!("a list of more than {MOST} entries")));
            }
            list.push(entry);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_at_the_bound() {
        let read = |json: &str| list::<_, u8>(&mut serde_json::Deserializer::from_str(json));
        assert_eq!(read("[1, 2]").unwrap(), [1, 2]);
        let full = format!("[{}1]", "1,".repeat(MOST - 1));
        assert_eq!(read(&full).unwrap().len(), MOST);
        let over = format!("[{}1]", "1,".repeat(MOST));
        assert!(read(&over).unwrap_err().to_string().contains("more than 65536 entries"));
        assert!(read("7").unwrap_err().to_string().contains("expected a list"));
        let read = |json: &str| optional::<_, u8>(&mut serde_json::Deserializer::from_str(json));
        assert_eq!((read("null").unwrap(), read("[3]").unwrap()), (None, Some(vec![3])));
        let read = |json: &str| nested::<_, u8>(&mut serde_json::Deserializer::from_str(json));
        assert_eq!(read("[[1], []]").unwrap(), [vec![1], vec![]]);
    }
}
