//! Descriptions: a frozen language model writes about an item or a user from its fields.

use das_core::files;
use das_core::progress::{Cancel, Progress};
use serde_json::json;

use crate::cache::{Cache, Key, key};
use crate::distinct::Distinct;
use crate::{Error, Result};

/// What a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The text, trimmed and without reasoning; never empty.
    pub text: String,
    /// Whether it ends where a limit of tokens cut it off.
    pub truncated: bool,
}

/// A frozen language model that answers prompts, at a price.
pub trait LanguageModel: Send + Sync + std::fmt::Debug {
    /// Which model this is and how it is asked. Equal identities and prompts mean answers that may
    /// stand for each other.
    fn identity(&self) -> String;

    /// Answers `prompts`, none of them blank: `done` gets the index of each prompt and what was
    /// written, on the calling thread and in any order.
    ///
    /// # Errors
    /// `Interrupted` once `cancel` is set; what `done` returns; what goes wrong with the model.
    /// Answers handed over before stay valid.
    fn complete_batches(
        &self,
        prompts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: &mut dyn FnMut(usize, Completion) -> Result<()>,
    ) -> Result<()>;
}

/// The answers to some prompts, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptions {
    /// One text a prompt; empty for a blank prompt.
    pub texts: Vec<String>,
    /// Answers that a limit of tokens cut off.
    pub truncated: usize,
    /// Prompts that went to the model; the others were blank, repeated, or answered before.
    pub asked: usize,
}

/// Has `prompts` answered. A blank prompt stays unanswered, one that occurs twice is asked once,
/// and what `cache` knows is not asked again. Answers go to the cache as they come, so that an
/// interrupted call loses at most those in the making.
///
/// # Errors
/// As [`LanguageModel::complete_batches`], and those of the cache.
pub fn describe(
    model: &dyn LanguageModel,
    prompts: &[&str],
    cache: Option<&Cache>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Descriptions> {
    let mut work = Work::new(prompts, &model.identity());
    if let Some(cache) = cache {
        work.recall(cache)?;
    }
    let missing: Vec<usize> =
        (0..work.prompts.len()).filter(|&slot| work.answers[slot].is_none()).collect();
    if !missing.is_empty() {
        let asked: Vec<&str> = missing.iter().map(|&slot| work.prompts[slot]).collect();
        model.complete_batches(&asked, progress, cancel, &mut |row, answer| {
            work.take(missing[row], answer, cache)
        })?;
    }
    work.finish(missing.len())
}

/// The prompts of one call.
struct Work<'a> {
    /// The distinct ones.
    prompts: Vec<&'a str>,
    keys: Vec<Key>,
    answers: Vec<Option<Completion>>,
    /// Which of the distinct prompts each row has; none where it is blank.
    slots: Vec<Option<usize>>,
}

impl<'a> Work<'a> {
    fn new(rows: &[&'a str], identity: &str) -> Work<'a> {
        let mut distinct = Distinct::default();
        let slots = rows
            .iter()
            .map(|&prompt| (!prompt.trim().is_empty()).then(|| distinct.slot(prompt)))
            .collect();
        let prompts = distinct.texts;
        let keys = prompts.iter().map(|prompt| key(&["describe", identity, prompt])).collect();
        Work { answers: vec![None; prompts.len()], prompts, keys, slots }
    }

    /// Takes what the cache knows; damage counts as unknown.
    fn recall(&mut self, cache: &Cache) -> Result<()> {
        cache.find(&self.keys, |slot, bytes| {
            let Some((&truncated, text)) = bytes.split_first() else { return Ok(()) };
            if let Some(text) = std::str::from_utf8(text).ok().filter(|text| !text.is_empty()) {
                let (text, truncated) = (text.to_owned(), truncated != 0);
                self.answers[slot] = Some(Completion { text, truncated });
            }
            Ok(())
        })
    }

    fn take(&mut self, slot: usize, answer: Completion, cache: Option<&Cache>) -> Result<()> {
        if let Some(cache) = cache {
            let mut bytes = vec![u8::from(answer.truncated)];
            bytes.extend_from_slice(answer.text.as_bytes());
            cache.put([(&self.keys[slot], bytes)])?;
        }
        self.answers[slot] = Some(answer);
        Ok(())
    }

    fn finish(self, asked: usize) -> Result<Descriptions> {
        let mut found = Descriptions { texts: Vec::new(), truncated: 0, asked };
        for (row, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else {
                found.texts.push(String::new());
                continue;
            };
            let Some(answer) = &self.answers[*slot] else {
                return Err(Error::Model(format!("the model gave no answer for row {row}")));
            };
            found.truncated += usize::from(answer.truncated);
            found.texts.push(answer.text.clone());
        }
        Ok(found)
    }
}

/// The identity of a model under its name and the settings that its answers depend on.
pub(crate) fn identity(kind: &str, name: &str, settings: serde_json::Value) -> String {
    files::sha256_bytes(json!([kind, name, settings]).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use das_core::progress::Silent;

    use super::*;

    /// Answers in capitals, last prompt first, and fails after some.
    #[derive(Debug)]
    struct Loud {
        asked: Mutex<Vec<String>>,
        fails_after: usize,
    }

    impl LanguageModel for Loud {
        fn identity(&self) -> String {
            "loud".into()
        }

        fn complete_batches(
            &self,
            prompts: &[&str],
            _progress: &dyn Progress,
            _cancel: &Cancel,
            done: &mut dyn FnMut(usize, Completion) -> Result<()>,
        ) -> Result<()> {
            for (row, prompt) in prompts.iter().enumerate().rev() {
                let mut asked = self.asked.lock().unwrap();
                if asked.len() == self.fails_after {
                    return Err(Error::Model("enough".into()));
                }
                asked.push(prompt.to_string());
                done(row, Completion { text: prompt.to_uppercase(), truncated: row == 0 })?;
            }
            Ok(())
        }
    }

    fn run(fails_after: usize, prompts: &[&str], cache: Option<&Cache>) -> Result<Descriptions> {
        let model = Loud { asked: Mutex::default(), fails_after };
        describe(&model, prompts, cache, &Silent, &Cancel::default())
    }

    #[test]
    fn blank_and_repeated_prompts() {
        let found = run(9, &["a", " ", "b", "a"], None).unwrap();
        assert_eq!(found.texts, ["A", "", "B", "A"]);
        assert_eq!((found.truncated, found.asked), (2, 2));
    }

    #[test]
    fn a_failed_call_goes_on_where_it_stood() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let prompts = ["a", "b", "c"];
        run(2, &prompts, Some(&cache)).unwrap_err();
        let found = run(1, &prompts, Some(&cache)).unwrap();
        assert_eq!((found.asked, found.texts.join("")), (1, "ABC".to_string()));
        assert_eq!(run(0, &prompts, Some(&cache)).unwrap().asked, 0);
        cache.put([(&key(&["describe", "loud", "b"]), vec![0, 0xff])]).unwrap();
        assert_eq!(run(1, &prompts, Some(&cache)).unwrap().texts[1], "B");
    }
}
