//! How requests run beside each other, and what remains when one of them fails.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use das_content::{Batch, Dialect, EndpointEmbedder, Error, Result, TextModel};
use das_core::RowMatrix;
use das_core::progress::{Cancel, Progress, Silent};

use crate::server::{DIM, Reply, Server, texts, vector};

/// What a caller has stored: a vector for each row that was handed over.
pub(crate) type Stored = BTreeMap<usize, Vec<f32>>;

pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text {number}")).collect()
}

/// What a faithful server leads to.
pub(crate) fn expected(texts: &[String]) -> Stored {
    let unit = |text: &String| {
        let vector = vector(text);
        let norm = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        vector.iter().map(|&x| (f64::from(x) / norm) as f32).collect()
    };
    texts.iter().map(unit).enumerate().collect()
}

/// Embeds `texts` and stores what is handed over, each row once.
pub(crate) fn embed(embedder: &EndpointEmbedder, texts: &[String]) -> (Stored, Result<()>) {
    embed_until(embedder, texts, &Cancel::default())
}

fn embed_until(
    embedder: &EndpointEmbedder,
    texts: &[String],
    cancel: &Cancel,
) -> (Stored, Result<()>) {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut stored = Stored::new();
    let mut done = |Batch { rows, vectors, truncated }: Batch| {
        assert_eq!((rows.len(), &truncated), (vectors.rows(), &vec![false; rows.len()]));
        for (at, &row) in rows.iter().enumerate() {
            assert!(stored.insert(row, vectors.row(at).to_vec()).is_none(), "row {row} twice");
        }
        Ok(())
    };
    let result = embedder.embed_batches(&texts, &Silent, cancel, &mut done);
    (stored, result)
}

#[test]
fn rows_come_in_the_order_of_the_texts_and_no_more_requests_than_allowed_at_a_time() {
    let server = Server::new(|_| Reply::Late(Duration::from_millis(30)));
    let mut config = server.config(Dialect::OpenAi);
    config.concurrency = 3;
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let texts = numbered(41);
    let (stored, result) = embed(&embedder, &texts);
    result.unwrap();
    assert_eq!(stored, expected(&texts));
    assert_eq!((server.asks().len(), embedder.retries()), (21, 0));
    assert!((2..=3).contains(&server.most_active()), "{}", server.most_active());
}

#[test]
fn no_texts_are_no_request() {
    let server = Server::new(|_| Reply::Faithful);
    let embedder = EndpointEmbedder::new(&server.config(Dialect::Tei), DIM, 1).unwrap();
    embed(&embedder, &[]).1.unwrap();
    assert!(server.asks().is_empty());
}

#[test]
fn a_failure_names_its_rows_and_keeps_what_came_before() {
    let server = Server::new(|ask| match ask.number {
        5 => Reply::status(400),
        _ => Reply::Faithful,
    });
    let mut config = server.config(Dialect::OpenAi);
    config.concurrency = 1;
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let texts = numbered(20);
    let (stored, result) = embed(&embedder, &texts);
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Endpoint { rows, .. } if rows == "rows 10 to 11"), "{error}");
    assert_eq!(stored, expected(&texts[..10]));
    assert_eq!(server.asks().len(), 6);
}

#[test]
fn what_is_in_flight_when_another_request_fails_is_kept() {
    let begun = AtomicUsize::new(0);
    let server = Server::new(move |ask| {
        begun.fetch_add(1, Ordering::SeqCst);
        if texts(ask)[0] != "text 4" {
            return Reply::Late(Duration::from_millis(300));
        }
        while begun.load(Ordering::SeqCst) < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        Reply::status(422)
    });
    let mut config = server.config(Dialect::Tei);
    config.concurrency = 3;
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let texts = numbered(40);
    let (stored, result) = embed(&embedder, &texts);
    assert!(result.unwrap_err().to_string().contains("rows 4 to 5"));
    assert_eq!(stored, expected(&texts[..4]));
    assert_eq!(server.asks().len(), 3);
}

#[test]
fn a_failure_does_not_wait_for_requests_that_wait_to_be_repeated() {
    let server = Server::new(|ask| match texts(ask)[0].as_str() {
        "text 0" => Reply::Other(503, vec![("Retry-After", "60".into())], String::new()),
        _ => Reply::status(404),
    });
    let mut config = server.config(Dialect::OpenAi);
    config.concurrency = 2;
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let started = Instant::now();
    let error = embed(&embedder, &numbered(4)).1.unwrap_err().to_string();
    assert!(error.contains("rows 2 to 3") && error.contains("404"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_wait_is_interrupted_at_once() {
    let cancel = Cancel::default();
    let script = cancel.clone();
    let server = Server::new(move |ask| {
        if texts(ask)[0] == "text 0" {
            return Reply::Faithful;
        }
        let signal = script.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            signal.request();
        });
        Reply::Other(429, vec![("Retry-After", "100".into())], String::new())
    });
    let mut config = server.config(Dialect::OpenAi);
    config.concurrency = 1;
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let started = Instant::now();
    let texts = numbered(4);
    let (stored, result) = embed_until(&embedder, &texts, &cancel);
    assert!(matches!(result, Err(Error::Core(das_core::Error::Interrupted))), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(stored, expected(&texts[..2]));
}

#[test]
fn nothing_is_sent_after_an_interruption() {
    let server = Server::new(|_| Reply::Faithful);
    let embedder = EndpointEmbedder::new(&server.config(Dialect::OpenAi), DIM, 1).unwrap();
    let cancel = Cancel::default();
    cancel.request();
    let (stored, result) = embed_until(&embedder, &numbered(4), &cancel);
    assert!(matches!(result, Err(Error::Core(das_core::Error::Interrupted))), "{result:?}");
    assert!(stored.is_empty() && server.asks().is_empty());
}

#[test]
fn a_failure_of_the_caller_ends_the_work() {
    let server = Server::new(|_| Reply::Faithful);
    let embedder = EndpointEmbedder::new(&server.config(Dialect::OpenAi), DIM, 1).unwrap();
    let mut calls = 0;
    let mut done = |_: Batch| {
        calls += 1;
        Err(das_core::Error::Invalid("disk full".into()).into())
    };
    let texts: Vec<String> = numbered(400);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let error = embedder.embed_batches(&texts, &Silent, &Cancel::default(), &mut done).unwrap_err();
    assert_eq!((error.to_string().as_str(), calls), ("disk full", 1));
    assert!(server.asks().len() < 100);
}

#[test]
fn progress_counts_texts_and_notes_repetitions() {
    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);
    impl Progress for Recorder {
        fn begin(&self, phase: &str, total: Option<u64>) {
            self.0.lock().unwrap().push(format!("{phase} {total:?}"));
        }
        fn update(&self, done: u64, note: &str) {
            self.0.lock().unwrap().push(format!("{done} {note}"));
        }
        fn end(&self) {
            self.0.lock().unwrap().push("end".into());
        }
    }

    let server = Server::new(|ask| match ask.number {
        1 => Reply::status(500),
        _ => Reply::Faithful,
    });
    let mut config = server.config(Dialect::OpenAi);
    config.concurrency = 1;
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let recorder = Recorder::default();
    let done = &mut |_: Batch| Ok(());
    embedder.embed_batches(&["a", "b", "c"], &recorder, &Cancel::default(), done).unwrap();
    let expected = ["embed texts Some(3)", "2 ", "3 requests repeated: 1", "end"];
    assert_eq!(*recorder.0.lock().unwrap(), expected);
}
