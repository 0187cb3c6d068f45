//! A real model, where there is one.

use std::path::Path;
use std::sync::Mutex;

use das_content::{Gguf, LanguageModel};
use das_core::progress::{Cancel, Progress};

use crate::common::config;

const SYSTEM: &str = "Write one sentence about the product: what it is and who it is for.";
const PROMPTS: [&str; 2] = [
    "Title: WAWO 15 Color Professional Makeup Eyeshadow Camouflage Facial Concealer Palette\n\
     Description:",
    "Title: Argan Oil Shampoo for dry and damaged hair, 300 ml\nDescription:",
];

/// Keeps the last note.
#[derive(Default)]
struct Note(Mutex<String>);

impl Progress for Note {
    fn begin(&self, _phase: &str, _total: Option<u64>) {}

    fn update(&self, _done: u64, note: &str) {
        *self.0.lock().unwrap() = note.into();
    }

    fn end(&self) {}
}

#[test]
fn gemma_describes_two_items() {
    let Some(path) = std::env::var_os("DAS_GEMMA") else {
        eprintln!("SKIPPED: DAS_GEMMA does not name a Gemma 3 in GGUF");
        return;
    };
    let describe = || {
        let (note, mut answers) = (Note::default(), Vec::new());
        let model = Gguf::open(Path::new(&path), &config(48, 0.0), Some(SYSTEM), 0).unwrap();
        let done = &mut |_, completion| {
            answers.push(completion);
            Ok(())
        };
        model.complete_batches(&PROMPTS, &note, &Cancel::default(), done).unwrap();
        eprintln!("{}", note.0.into_inner().unwrap());
        answers
    };
    let answers = describe();
    assert_eq!(answers.len(), 2);
    for answer in &answers {
        eprintln!("{answer:?}");
        assert!(answer.text.len() > 10);
    }
    assert_eq!(answers, describe());
}
