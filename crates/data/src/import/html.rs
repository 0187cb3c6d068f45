//! HTML entities in product texts.

use std::borrow::Cow;

/// Replaces the entities that product texts hold: `&amp;` and its like, and numeric ones.
/// Anything else that begins with `&` stays.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else { return text.into() };
    let mut out = text[..first].to_owned();
    let mut rest = &text[first..];
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out.into()
}

/// The character of the entity at the start of `text`, and the entity's length.
fn entity(text: &str) -> Option<(char, usize)> {
    // The longest entity known here is `&#1114111;`.
    let end = text.bytes().take(10).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let code = name.strip_prefix('#')?;
            let number = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(number)?
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_entities_are_replaced_and_others_stay() {
        assert_eq!(unescape("Soap &amp; Glory&#39;s &quot;Best&quot;"), "Soap & Glory's \"Best\"");
        assert_eq!(unescape("a&nbsp;b &#x41; &#1114111;"), "a b A \u{10ffff}");
        assert_eq!(unescape("R&D; AT&T &#xD800; &é;"), "R&D; AT&T &#xD800; &é;");
        assert_eq!(unescape("plain"), "plain");
    }
}
