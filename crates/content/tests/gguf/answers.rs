//! What an answer depends on, and how a call goes.

use std::sync::Mutex;

use das_content::{Error, Gguf, GgufConfig, LanguageModel};
use das_core::progress::{Cancel, Progress, Silent};

use crate::common::{complete, config, fixture, open};

const FAMILIES: [&str; 5] = ["gemma3", "llama", "llama3", "qwen2", "qwen3"];
/// Two of them have more, one has less in common with an empty prompt than the others.
const PROMPTS: [&str; 6] = [
    "Describe this item: red nail polish",
    "",
    "x",
    "\n\nDescribe this item: a dry shampoo",
    "",
    "日本の化粧水",
];

#[test]
fn an_answer_depends_on_its_own_prompt_alone() {
    for family in FAMILIES {
        for temperature in [0.0, 1.0] {
            let model = open(family, &config(15, temperature), 7);
            let together = complete(&model, &PROMPTS).unwrap();
            let reversed: Vec<&str> = PROMPTS.iter().rev().copied().collect();
            let mut backwards = complete(&model, &reversed).unwrap();
            backwards.reverse();
            assert_eq!(together, backwards, "{family}");
            let again = open(family, &config(15, temperature), 7);
            assert_eq!(complete(&again, &PROMPTS[4..5]).unwrap(), together[4..5], "{family}");
            assert!(together.iter().all(|answer| !answer.text.is_empty()));
        }
    }
}

#[test]
fn the_seed_decides_draws_and_nothing_else() {
    let texts = |temperature, seed| {
        let model = open("llama3", &config(12, temperature), seed);
        complete(&model, &PROMPTS).unwrap().into_iter().map(|answer| answer.text)
    };
    assert!(texts(0.0, 1).eq(texts(0.0, 2)));
    assert!(texts(1.0, 1).ne(texts(1.0, 2)));
    assert!(texts(1.0, 1).ne(texts(0.0, 1)));
}

#[test]
fn answers_end_where_the_model_stops_or_has_to() {
    // As `golden.json` has it, the model stops after seven tokens by itself.
    let prompt = "日本の化粧水 — describe it, please!";
    let stopping = |max_tokens| {
        let model = Gguf::open(&fixture("gemma3"), &config(max_tokens, 0.0), None, 0).unwrap();
        complete(&model, &[prompt]).unwrap().remove(0)
    };
    let (whole, cut) = (stopping(16), stopping(5));
    assert!(!whole.truncated && cut.truncated);
    assert!(whole.text.starts_with(&cut.text) && whole.text != cut.text);
}

#[test]
fn long_prompts_are_cut_at_their_end() {
    let model = open("qwen2", &GgufConfig { context: 160, ..config(8, 0.0) }, 0);
    let long = format!("Describe: {}", "nail polish, ".repeat(500));
    let longer = format!("{long} and more");
    let answers = complete(&model, &["x", &long, &longer]).unwrap();
    assert_eq!(model.prompts_cut(), 2);
    assert_eq!(answers[1], answers[2]);
    assert_ne!(answers[0], answers[1]);
}

#[test]
fn template_and_answer_must_fit_the_context() {
    let narrow = GgufConfig { context: 64, ..config(32, 0.0) };
    let message = Gguf::open(&fixture("qwen2"), &narrow, Some("Be brief."), 0).unwrap_err();
    assert!(message.to_string().starts_with("`context`: expected more than "), "{message}");
    // The model was made for 256 tokens.
    let long = config(256, 0.0);
    let message = Gguf::open(&fixture("qwen2"), &long, None, 0).unwrap_err().to_string();
    assert!(message.ends_with("got 256"), "{message}");
}

#[test]
fn settings_are_held_against_their_ranges() {
    for (config, key) in [
        (config(0, 0.0), "max_tokens"),
        (config(1, -0.1), "temperature"),
        (config(1, f64::NAN), "temperature"),
        (GgufConfig { context: 1, ..config(1, 0.0) }, "context"),
    ] {
        let message = Gguf::open(&fixture("qwen2"), &config, None, 0).unwrap_err().to_string();
        assert!(message.starts_with(&format!("`{key}`")), "{message}");
    }
}

#[test]
fn the_hash_covers_what_answers_depend_on() {
    let hash = |family: &str, config: &GgufConfig, system: Option<&str>, seed| {
        Gguf::open(&fixture(family), config, system, seed).unwrap().identity()
    };
    let base = hash("qwen2", &config(8, 0.0), None, 1);
    assert_eq!(base.len(), 64);
    assert_eq!(base, hash("qwen2", &config(8, 0.0), None, 2));
    let others = [
        hash("qwen3", &config(8, 0.0), None, 1),
        hash("qwen2", &config(9, 0.0), None, 1),
        hash("qwen2", &config(8, 0.5), None, 1),
        hash("qwen2", &config(8, 0.5), None, 2),
        hash("qwen2", &config(8, 0.0), Some(""), 1),
        hash("qwen2", &GgufConfig { context: 200, ..config(8, 0.0) }, None, 1),
    ];
    for (at, other) in others.iter().enumerate() {
        assert!(*other != base && !others[..at].contains(other), "{at}");
    }
}

#[test]
fn what_done_returns_ends_the_call() {
    let model = open("qwen2", &config(2, 0.0), 0);
    let mut calls = 0;
    let result = model.complete_batches(&PROMPTS, &Silent, &Cancel::default(), &mut |_, _| {
        calls += 1;
        Err(Error::Model("full".into()))
    });
    assert_eq!((result.unwrap_err().to_string().as_str(), calls), ("full", 1));
}

/// Writes down what it hears, and asks for a stop after some updates.
#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<String>>,
    cancel: Cancel,
    stop_at: u64,
}

impl Progress for Listener {
    fn begin(&self, phase: &str, total: Option<u64>) {
        self.heard.lock().unwrap().push(format!("{phase} {total:?}"));
    }

    fn update(&self, done: u64, note: &str) {
        assert!(note.ends_with(" tokens/s"), "{note}");
        self.heard.lock().unwrap().push(done.to_string());
        if done == self.stop_at {
            self.cancel.request();
        }
    }

    fn end(&self) {
        self.heard.lock().unwrap().push("end".into());
    }
}

#[test]
fn a_call_tells_how_far_it_is_and_stops_when_asked() {
    let model = open("llama", &config(2, 0.0), 0);
    let listener = Listener::default();
    let mut stored = 0;
    let mut done = |_, _| {
        stored += 1;
        Ok(())
    };
    model.complete_batches(&PROMPTS, &listener, &listener.cancel, &mut done).unwrap();
    let expected = ["describe texts Some(6)", "1", "2", "3", "4", "5", "6", "end"];
    assert_eq!(*listener.heard.lock().unwrap(), expected);

    let stopping = Listener { stop_at: 2, ..Default::default() };
    let result = model.complete_batches(&PROMPTS, &stopping, &stopping.cancel, &mut done);
    assert!(matches!(result, Err(Error::Core(das_core::Error::Interrupted))));
    let expected = ["describe texts Some(6)", "1", "2", "end"];
    assert_eq!(*stopping.heard.lock().unwrap(), expected);
    assert_eq!(stored, 8);
}
