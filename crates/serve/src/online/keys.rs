//! How IDs are spelled as keys, so that their order in the store is that of their codes.

/// Codes, big-endian, so that bytes sort as codes do.
pub(super) fn of_codes(codes: &[u32]) -> Vec<u8> {
    codes.iter().flat_map(|code| code.to_be_bytes()).collect()
}

/// The key of an ID that belongs to `id`: codes first, then the id.
pub(super) fn of_sid(codes: &[u32], id: &str) -> Vec<u8> {
    let mut key = of_codes(codes);
    key.extend_from_slice(id.as_bytes());
    key
}

/// Takes [`of_sid`] apart; none where the key is none.
pub(super) fn sid_of(key: &[u8], digits: usize) -> Option<(Vec<u32>, &str)> {
    let (codes, id) = key.split_at_checked(digits * 4)?;
    Some((codes_of(codes), std::str::from_utf8(id).ok()?))
}

/// Reads [`of_codes`].
pub(super) fn codes_of(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|code| u32::from_be_bytes(code.try_into().expect("four bytes")))
        .collect()
}

/// The least key that is greater than every key that begins with `prefix`; none where there is no such.
pub(super) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_codes_and_are_read_back() {
        assert!(of_sid(&[1, 300], "b") > of_sid(&[1, 255], "c"));
        assert!(of_sid(&[1, 300], "b") > of_sid(&[1, 300], "a"));
        assert_eq!(sid_of(&of_sid(&[1, 300], "ä"), 2), Some((vec![1, 300], "ä")));
        assert_eq!(sid_of(&[0; 7], 2), None);
    }

    #[test]
    fn a_prefix_ends_before_the_next() {
        assert_eq!(after(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after(&[255, 255]), None);
        assert_eq!(after(&[]), None);
    }
}
