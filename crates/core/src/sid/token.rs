//! The token spelling of semantic IDs, `<a_17><b_403><c_88>`: a letter for the digit's place, a
//! decimal number for its code. It is the vocabulary of generative retrievers (TIGER, LETTER).

use super::MAX_DIGITS;
use crate::{Error, Result};

/// The token of `code` at place `digit`, below [`MAX_DIGITS`].
pub fn token(digit: usize, code: u32) -> String {
    assert!(digit < MAX_DIGITS, "digit {digit} has no letter");
    format!("<{}_{code}>", (b'a' + digit as u8) as char)
}

/// All tokens of an ID, in a row.
pub fn token_string(codes: &[u32]) -> String {
    codes.iter().enumerate().map(|(digit, &code)| token(digit, code)).collect()
}

/// Reads one token, which must be the one of place `digit`.
pub fn parse_token(digit: usize, text: &str) -> Result<u32> {
    let wrong = || {
        let letter = (b'a' + digit.min(MAX_DIGITS - 1) as u8) as char;
        Error::Invalid(format!("token {text:?} at digit {digit}, expected `<{letter}_NUMBER>`"))
    };
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).ok_or_else(wrong)?;
    let (letter, number) = inner.split_once('_').ok_or_else(wrong)?;
    let digits_only = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let in_place = digit < MAX_DIGITS && letter.as_bytes() == [b'a' + digit as u8];
    if !in_place || !digits_only {
        return Err(wrong());
    }
    number.parse().map_err(|_| wrong())
}

/// Reads a whole ID as [`token_string`] writes it.
pub fn parse_tokens(text: &str) -> Result<Vec<u32>> {
    text.split_inclusive('>').enumerate().map(|(digit, token)| parse_token(digit, token)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_spelled_as_published() {
        assert_eq!(token_string(&[17, 403, 88]), "<a_17><b_403><c_88>");
        assert_eq!(parse_tokens("<a_17><b_403><c_88>").unwrap(), [17, 403, 88]);
        assert_eq!(token(25, 0), "<z_0>");
    }

    #[test]
    fn wrong_tokens_are_refused() {
        for bad in ["a_17", "<a17>", "<b_17>", "<A_1>", "<a_>", "<a_-1>", "<a_+1>", "<a_x>", ""] {
            assert!(parse_token(0, bad).is_err(), "{bad}");
        }
        let error = parse_token(1, "<c_5>").unwrap_err().to_string();
        assert!(error.contains("\"<c_5>\" at digit 1, expected `<b_NUMBER>`"), "{error}");
        assert!(parse_token(0, "<a_4294967296>").is_err());
        assert!(parse_token(26, "<{_1>").is_err());
        assert!(parse_tokens("<a_1><b_2>x").is_err());
    }

    proptest! {
        #[test]
        fn tokens_round_trip(codes in prop::collection::vec(any::<u32>(), 0..MAX_DIGITS)) {
            prop_assert_eq!(parse_tokens(&token_string(&codes)).unwrap(), codes);
        }
    }
}
