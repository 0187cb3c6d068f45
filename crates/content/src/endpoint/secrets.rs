//! Words of others, made fit for an error message.

use ureq::http::Uri;

/// What stands in a message where something private stood.
const HIDDEN: &str = "<hidden>";

/// What no message may show: the key, and where the server stands.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Hides `key`, `base` and what `base` is made of.
    pub(super) fn new(key: Option<&str>, base: &Uri) -> Secrets {
        let whole = base.to_string();
        // The longest first: a part that goes early would leave the rest of the whole behind.
        let places = [Some(whole.trim_end_matches('/')), base.authority().map(|a| a.as_str())];
        let places = places.into_iter().chain([base.host()]).flatten();
        Secrets(key.into_iter().chain(places).map(str::to_ascii_lowercase).collect())
    }

    /// `text` on one line of at most `limit` characters (at least 1), without control characters
    /// and without secrets, whatever the case of their letters.
    pub(super) fn clean(&self, text: &str, limit: usize) -> String {
        // Dropped before the search, so that none of them can break a secret in two.
        let text: String = text
            .chars()
            .map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c })
            .filter(|&c| !c.is_control() && !is_invisible(c))
            .collect();
        let text = self.0.iter().fold(text, |text, secret| hide(&text, secret));
        let text = text.trim();
        if text.chars().count() <= limit {
            return text.into();
        }
        text.chars().take(limit - 1).chain(['…']).collect()
    }
}

/// Marks that turn the direction of what follows, or take no space.
fn is_invisible(c: char) -> bool {
    let marks = ['\u{200b}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2060}'..='\u{2069}'];
    c == '\u{feff}' || marks.iter().any(|range| range.contains(&c))
}

/// Replaces `secret`, in lower case, wherever it occurs in `text`.
fn hide(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.into();
    }
    // Lower-casing ASCII moves no byte, so that offsets hold in both.
    let lower = text.to_ascii_lowercase();
    let mut hidden = String::with_capacity(text.len());
    let mut rest = 0;
    for (at, _) in lower.match_indices(secret) {
        hidden.push_str(&text[rest..at]);
        hidden.push_str(HIDDEN);
        rest = at + secret.len();
    }
    hidden.push_str(&text[rest..]);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "sk-Secret_1";

    fn secrets() -> Secrets {
        Secrets::new(Some(KEY), &"https://gpu.example.org:8443/v1/".parse().unwrap())
    }

    #[test]
    fn the_key_and_every_form_of_the_address_are_hidden() {
        let text = "sk-secret_1 at HTTPS://gpu.example.org:8443/v1/embed, gpu.example.org:8443, \
                    gpu.example.org";
        let expected = "<hidden> at <hidden>/embed, <hidden>, <hidden>";
        assert_eq!(secrets().clean(text, 200), expected);
    }

    #[test]
    fn control_characters_go_before_secrets_are_looked_for() {
        assert_eq!(
            secrets().clean("\u{1b}[31m sk-\u{7}Secret\u{200b}_1\r\nx", 200),
            "[31m <hidden> x"
        );
    }

    #[test]
    fn the_cut_falls_between_characters_and_is_marked() {
        assert_eq!(secrets().clean("äöü", 2), "ä…");
        assert_eq!(secrets().clean("äö", 2), "äö");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_clean_line(before in ".{0,60}", after in ".{0,300}") {
            let cleaned = secrets().clean(&format!("{before}{KEY}{after}"), 200);
            prop_assert!(cleaned.chars().count() <= 200);
            prop_assert!(!cleaned.chars().any(char::is_control));
            prop_assert!(!cleaned.to_ascii_lowercase().contains(&KEY.to_ascii_lowercase()));
        }
    }
}
