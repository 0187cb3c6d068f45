//! Who may ask what: API keys.

use std::path::Path;

use das_core::files;
use subtle::ConstantTimeEq;

use crate::error::{Error, Kind, Refusal, Result};

/// Shortest key.
const MIN_KEY_BYTES: usize = 16;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Ask.
    Read,
    /// Change what is served: upserts, reloads, experiments.
    Admin,
}

/// The keys that are known, as hashes. Without any, everybody may do everything: a service on loopback.
#[derive(Clone, Default)]
pub struct Keys {
    keys: Vec<(String, Access)>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.keys.len())
    }
}

impl Keys {
    /// Reads lines `read KEY` and `admin KEY`; empty ones and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// A line that is something else, or a key of less than 16 bytes. Messages do not hold the key.
    pub fn from_file(path: &Path) -> Result<Keys> {
        let mut keys = Keys::default();
        let text = files::read_text(path)?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = |message: &str| {
                das_core::Error::format(path, format!("line {}: {message}", number + 1))
            };
            let (access, key) = match line.split_once(char::is_whitespace) {
                Some(("read", key)) => (Access::Read, key),
                Some(("admin", key)) => (Access::Admin, key),
                _ => return Err(fault("expected `read KEY` or `admin KEY`").into()),
            };
            keys.add(key.trim(), access).map_err(|message| Error::from(fault(&message)))?;
        }
        if keys.is_empty() {
            return Err(das_core::Error::format(path, "expected at least one key").into());
        }
        Ok(keys)
    }

    /// Adds keys, separated by commas, of one kind.
    pub fn add_list(&mut self, list: &str, access: Access) -> Result<(), String> {
        list.split(',')
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .try_for_each(|key| self.add(key, access))
    }

    fn add(&mut self, key: &str, access: Access) -> Result<(), String> {
        if key.len() < MIN_KEY_BYTES {
            return Err(format!("a key of {} bytes, expected at least {MIN_KEY_BYTES}", key.len()));
        }
        self.keys.push((files::sha256_bytes(key.as_bytes()), access));
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Refuses a request that needs `access` and comes with `key`. Every known key is compared, each in
    /// the same time whatever it holds.
    pub fn check(&self, key: Option<&str>, access: Access) -> Result<(), Refusal> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let unknown = || Refusal::new(Kind::Unauthenticated, "expected an API key that is known");
        let presented = files::sha256_bytes(key.ok_or_else(unknown)?.as_bytes());
        let mut granted = None;
        for (known, access) in &self.keys {
            if bool::from(known.as_bytes().ct_eq(presented.as_bytes())) {
                granted = granted.max(Some(*access));
            }
        }
        match granted {
            None => Err(unknown()),
            Some(granted) if granted < access => {
                Err(Refusal::new(Kind::Forbidden, "this needs an admin key"))
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "read-key-of-some-length";
    const ADMIN: &str = "admin-key-of-some-length";

    fn keys(text: &str) -> Result<Keys> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Keys::from_file(file.path())
    }

    #[test]
    fn keys_open_what_they_are_for() {
        let keys = keys(&format!("# ours\nread {READ}\n\n  admin\t{ADMIN} \n")).unwrap();
        let kind = |key, access| keys.check(key, access).map_err(|refusal| refusal.kind);
        assert_eq!(kind(Some(READ), Access::Read), Ok(()));
        assert_eq!(kind(Some(READ), Access::Admin), Err(Kind::Forbidden));
        assert_eq!(kind(Some(ADMIN), Access::Read), Ok(()));
        assert_eq!(kind(Some(ADMIN), Access::Admin), Ok(()));
        for wrong in [None, Some(""), Some("read-key-of-some-lengt"), Some("x")] {
            assert_eq!(kind(wrong, Access::Read), Err(Kind::Unauthenticated));
        }
    }

    #[test]
    fn without_keys_everybody_may() {
        assert!(Keys::default().check(None, Access::Admin).is_ok());
    }

    #[test]
    fn bad_files_are_refused_by_line_and_keys_stay_unsaid() {
        for (text, expected) in [
            (format!("read {READ}\nwrite {ADMIN}\n"), "line 2: expected `read KEY`"),
            ("admin hunter2".to_string(), "line 1: a key of 7 bytes"),
            ("# none\n".to_string(), "at least one key"),
        ] {
            let message = keys(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("hunter2") && !message.contains(ADMIN), "{message}");
        }
    }
}
