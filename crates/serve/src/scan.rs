//! Content vectors in JSON, read fast.
//!
//! A request for sixteen vectors is a hundred kilobytes of digits, and reading them takes longer than
//! encoding them. What is here reads the one shape that such a request has and leaves everything else, and
//! every error, to serde_json.

use serde::de::DeserializeOwned;

use crate::error::Refusal;
use crate::vectors::{MAX_DIM, Vectors};

/// The member that holds the vectors.
const KEY: &[u8] = b"\"vectors\"";

/// A request that may hold vectors.
pub trait HoldsVectors: DeserializeOwned {
    /// Puts vectors where the request has none.
    fn put(&mut self, vectors: Vectors);
}

/// Parses a request as serde_json would, several times as fast where most of it is vectors.
pub fn parse<T: HoldsVectors>(bytes: &[u8]) -> Result<T, Refusal> {
    // A quote that is not escaped, the name, another such quote and a colon are a member's name wherever
    // they stand, and requests have no members but their own. So the vectors can be read apart from the rest.
    let found = find(bytes).and_then(|start| {
        let (vectors, length) = matrix(&bytes[start..])?;
        let rest = [&bytes[..start], b"null", &bytes[start + length..]].concat();
        let mut request: T = serde_json::from_slice(&rest).ok()?;
        request.put(vectors);
        Some(request)
    });
    match found {
        Some(request) => Ok(request),
        None => serde_json::from_slice(bytes)
            .map_err(|error| Refusal::invalid(format!("body: {error}"))),
    }
}

/// Where the first value of [`KEY`] begins.
fn find(bytes: &[u8]) -> Option<usize> {
    let key = memchr::memmem::find(bytes, KEY)?;
    let mut at = blank(bytes, key + KEY.len());
    (bytes.get(at) == Some(&b':')).then(|| {
        at = blank(bytes, at + 1);
        at
    })
}

/// A list of lists of numbers at the beginning of `bytes`, at least one, all of one length, and how many
/// bytes it takes; none where something else stands there.
fn matrix(bytes: &[u8]) -> Option<(Vectors, usize)> {
    // A number takes a good eight bytes.
    let mut values = Vec::with_capacity(bytes.len() / 8);
    let mut at = blank(bytes, expect(bytes, 0, b'[')?);
    let mut width = None;
    loop {
        let start = values.len();
        at = blank(bytes, expect(bytes, at, b'[')?);
        loop {
            let (value, end) = number(bytes, at)?;
            values.push(value);
            at = blank(bytes, end);
            match bytes.get(at)? {
                b',' => at = blank(bytes, at + 1),
                b']' => break,
                _ => return None,
            }
        }
        let found = values.len() - start;
        if found > MAX_DIM || *width.get_or_insert(found) != found {
            return None;
        }
        at = blank(bytes, at + 1);
        match bytes.get(at)? {
            b',' => at = blank(bytes, at + 1),
            b']' => return Some((Vectors::new(found, values).ok()?, at + 1)),
            _ => return None,
        }
    }
}

/// A number by the grammar of JSON at `start`, and where it ends; none where it is not finite in f32.
fn number(bytes: &[u8], start: usize) -> Option<(f32, usize)> {
    let negative = bytes.get(start) == Some(&b'-');
    let mut decimal = Decimal::default();
    let first = start + usize::from(negative);
    let mut at = decimal.digits(bytes, first);
    // No leading zeros but a single one.
    if at == first || (bytes[first] == b'0' && at > first + 1) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let whole = at + 1;
        at = decimal.digits(bytes, whole);
        if at == whole {
            return None;
        }
        decimal.fraction = at - whole;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let signed = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = Decimal::default().digits(bytes, signed);
        if exponent == signed {
            return None;
        }
        at = exponent;
    } else if let Some(value) = decimal.nearest(&bytes[first..at]) {
        return Some((if negative { -value } else { value }, at));
    }
    let text = std::str::from_utf8(&bytes[start..at]).ok()?;
    let value: f32 = text.parse().ok()?;
    value.is_finite().then_some((value, at))
}

/// The digits of a number without an exponent.
#[derive(Default)]
struct Decimal {
    /// As one integer, if from the first that is no zero they are no more than [`MOST_DIGITS`].
    digits: u64,
    /// How many come after the point.
    fraction: usize,
}

/// More than a double is written with, and they fit 64 bits.
const MOST_DIGITS: usize = 19;

impl Decimal {
    /// Takes digits that begin at `start`, and says where they end.
    fn digits(&mut self, bytes: &[u8], start: usize) -> usize {
        let mut at = start;
        while let Some(digit) =
            bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&d| d < 10)
        {
            self.digits = self.digits.wrapping_mul(10).wrapping_add(digit.into());
            at += 1;
        }
        at
    }

    /// The f32 nearest to what was read of `text`, where a division in f64 tells it for sure.
    fn nearest(&self, text: &[u8]) -> Option<f32> {
        let leading = |byte: &&u8| matches!(byte, b'0' | b'.');
        if text.len() > MOST_DIGITS {
            let zeros = text.iter().take_while(leading).count();
            if text[zeros..].iter().filter(|&&byte| byte != b'.').count() > MOST_DIGITS {
                return None;
            }
        }
        // The power is exact, digits and quotient are rounded: the value is less than three units of its last place away.
        let value = self.digits as f64 / POWERS.get(self.fraction)?;
        // What is nearest to it is nearest to the number too, unless it lies that close to the middle between two f32: of
        // the 29 bits that are cut off, a one and zeros. Where f32 has fewer bits, more are cut off.
        let cut = value.to_bits() & ((1 << 29) - 1);
        let full = (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&value);
        ((full && cut.abs_diff(1 << 28) >= 3) || self.digits == 0).then_some(value as f32)
    }
}

/// Powers of ten that are whole in f64.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Where white space that begins at `at` ends.
fn blank(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (bytes.get(at) == Some(&byte)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::{EncodeRequest, UpsertRequest};

    /// What serde_json says of the same bytes.
    fn reference<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("body: {error}"))
    }

    fn both(bytes: &[u8]) {
        let found = parse::<EncodeRequest>(bytes).map_err(|refusal| refusal.message);
        assert_eq!(found, reference(bytes), "{}", String::from_utf8_lossy(bytes));
        let found = parse::<UpsertRequest>(bytes).map_err(|refusal| refusal.message);
        assert_eq!(found, reference(bytes), "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn odd_requests_are_read_as_serde_reads_them() {
        for json in [
            r#"{"vectors": [[1, 2.5e-1], [-0, 3]], "side": "user"}"#,
            r#"{"ids": [1, "a"], "vectors" : [ [ 1 ] , [2 ]] , "user": "\"vectors\": [[3]]"}"#,
            r#"{"user": "\"vectors\":[[3]]", "texts": ["\\\"vectors\\\":[[3]]"]}"#,
            r#"{"vectors": [[1]], "vectors": [[2]]}"#,
            r#"{"x": {"vectors": [[1]]}}"#,
            r#"{"texts": [{"vectors": [[1]]}]}"#,
            r#"{"vectors": [[1]]"#,
            r#"{"vectors": [[1], [2, 3]]}"#,
            r#"{"vectors": [[]]}"#,
            r#"{"vectors": []}"#,
            r#"{"vectors": null}"#,
            r#"{"vectors": [[1e60]]}"#,
            r#"{"vectors": [[01]]}"#,
            r#"{"vectors": [[1.]]}"#,
            r#"{"vectors": [[.5]]}"#,
            r#"{"vectors": [[+1]]}"#,
            r#"{"vectors": [[-]]}"#,
            r#"{"vectors": [[1e]]}"#,
            r#"{"vectors": [[1,]]}"#,
            r#"{"vectors": [[inf]]}"#,
            r#"{"side": "vectors"}"#,
            r#"["vectors"]"#,
            r#""vectors""#,
            r#"{"vectors":"#,
            "",
        ] {
            both(json.as_bytes());
        }
    }

    #[test]
    fn numbers_that_are_hard_to_round_are_read_as_the_standard_library_reads_them() {
        // Near the middle between two floats, at the ends of their range, with more digits than are counted.
        let floats = [1.0f32, 1.5, 16_777_215.0, 0.1, 3.3e-5, 1e-30, f32::MIN_POSITIVE, 1e-40, 0.0];
        let near = floats.into_iter().flat_map(|value| {
            let middle = (f64::from(value) + f64::from(value.next_up())) / 2.0;
            [middle.next_down(), middle, middle.next_up()].map(|value| format!("{value}"))
        });
        let tail = "0".repeat(18);
        let others = [
            "1.00000005960464477539062500001", // just over a middle, which f64 does not tell
            "1.0000000596046447753",
            "16777217",
            "16777219",
            "9007199254740993",
            "18446744073709551616",
            "340282346638528859811704183484516925440",
            "0.00000000000000000000001",
            "-0",
            "-0.0",
            &format!("{tail}1"),
            &format!("1{tail}00"),
            &format!("0.{tail}1"),
        ]
        .map(str::to_string);
        for text in near.chain(others) {
            let expected: f32 = text.parse().unwrap();
            match number(text.as_bytes(), 0) {
                None => assert!(text.starts_with("00"), "{text}"),
                Some((value, end)) => {
                    assert_eq!((value.to_bits(), end), (expected.to_bits(), text.len()), "{text}")
                }
            }
        }
    }

    proptest! {
        #[test]
        fn doubles_near_the_middle_of_two_floats_are_read_as_the_standard_library_reads_them(
            value in any::<f32>().prop_filter("finite", |value| value.is_finite()),
            away in -6i64..7,
            digits in 14usize..20,
        ) {
            let middle = (f64::from(value) + f64::from(value.next_up())) / 2.0;
            let near = f64::from_bits(middle.to_bits().wrapping_add_signed(away));
            prop_assume!(near.is_finite());
            let places = (digits as f64 - 1.0 - near.abs().max(1e-99).log10().floor()).clamp(0.0, 40.0) as usize;
            for text in [format!("{near}"), format!("{near:.places$}")] {
                let expected: f32 = text.parse().unwrap();
                let found = number(text.as_bytes(), 0).map(|(value, end)| (value.to_bits(), end));
                let expected = expected.is_finite().then(|| (expected.to_bits(), text.len()));
                prop_assert_eq!(found, expected, "{}", text);
            }
        }

        #[test]
        fn decimals_are_read_as_the_standard_library_reads_them(
            digits in "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,24})?",
        ) {
            let expected: f32 = digits.parse().unwrap();
            let (value, end) = number(digits.as_bytes(), 0).unwrap();
            prop_assert_eq!((value.to_bits(), end), (expected.to_bits(), digits.len()));
        }

        #[test]
        fn numbers_have_the_bits_that_serde_gives_them(
            rows in prop::collection::vec(prop::array::uniform3(any::<f32>()), 1..5),
            as_double in any::<bool>(),
        ) {
            let finite = rows.iter().flatten().all(|value| value.is_finite());
            prop_assume!(finite);
            let number = |value: f32| if as_double { f64::from(value).to_string() } else { value.to_string() };
            let rows = rows.iter().map(|row| format!("[{}]", row.map(number).join(",")));
            let json = format!("{{\"vectors\":[{}]}}", rows.collect::<Vec<_>>().join(","));
            prop_assert!(find(json.as_bytes()).and_then(|at| matrix(&json.as_bytes()[at..])).is_some());
            both(json.as_bytes());
        }

        #[test]
        fn damaged_requests_are_read_as_serde_reads_them(
            at in 0usize..60,
            byte in prop::sample::select(b"\"vectors:[]{},.-+eE019 \\n".to_vec()),
            cut in 0usize..80,
        ) {
            let mut json = br#"{"ids": [1], "vectors": [[1.5, -2e3], [0, 7]], "user": "a"}"#.to_vec();
            let length = json.len();
            json[at.min(length - 1)] = byte;
            json.truncate(cut.max(1));
            both(&json);
        }
    }
}
