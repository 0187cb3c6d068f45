//! Text to words, the same on every machine.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// A text ready to be split.
pub(super) struct Normalized {
    /// Lower-case NFKC without control and invisible characters.
    pub(super) text: String,
    /// Whether characters beyond the limit were left out.
    pub(super) truncated: bool,
}

/// Brings spellings of the same word together: of the first `max_chars` characters, invisible
/// ones are dropped, control characters become spaces, and the rest is brought to Unicode's
/// compatibility form NFKC (UAX #15) and lower case. NFKC runs again after the lower-casing,
/// which can leave sequences that compose.
pub(super) fn normalize(text: &str, max_chars: usize) -> Normalized {
    let end = text.char_indices().nth(max_chars).map_or(text.len(), |(at, _)| at);
    let truncated = end < text.len();
    let text = &text[..end];
    let text = if text.is_ascii() {
        text.chars().map(|c| visible(c.to_ascii_lowercase())).collect()
    } else {
        let kept = text.chars().filter(|&c| !is_invisible(c)).map(visible);
        kept.nfkc().flat_map(char::to_lowercase).nfkc().collect()
    };
    Normalized { text, truncated }
}

/// The words of a normalised text: segments between word boundaries (UAX #29) that hold a letter,
/// a digit or a pictograph. Ideographs are words of their own, so that their pairs are bigrams.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_word_bounds().filter(|word| word.chars().any(is_word_char))
}

fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// Characters that change no meaning but break words apart: soft hyphen, zero-width spaces,
/// joiners and marks, bidirectional controls, byte-order mark, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_pictograph(c)
}

/// Emoji and pictographic symbols: short descriptions of ads and videos say much with them.
fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(&normalize(text, 1000).text).map(str::to_string).collect()
    }

    #[test]
    fn spellings_of_the_same_words_meet() {
        let expected = ["café", "fi", "opi"];
        assert_eq!(split("café fi opi"), expected);
        assert_eq!(split("CAFE\u{301} \u{fb01} ＯＰＩ"), expected);
        assert_eq!(split("ca\u{ad}fé\u{0}f\u{200b}i\n\topi\u{7}!"), expected);
    }

    #[test]
    fn words_follow_unicode_boundaries() {
        assert_eq!(split("Don't pay 0.5-Fluid"), ["don't", "pay", "0.5", "fluid"]);
        assert_eq!(split("口红 🎉 -- "), ["口", "红", "🎉"]);
        assert_eq!(split("\u{1}\u{2} …"), [""; 0]);
    }

    #[test]
    fn the_limit_counts_characters_and_is_reported() {
        let cut = normalize("äöü", 2);
        assert_eq!((cut.text.as_str(), cut.truncated), ("äö", true));
        let whole = normalize("äöü", 3);
        assert_eq!((whole.text.as_str(), whole.truncated), ("äöü", false));
    }
}
