//! Faults that pass are repeated until nothing is missing; faults that last are told.

use std::time::{Duration, Instant};

use das_content::{Dialect, EndpointEmbedder};
use das_core::progress::Cancel;

use crate::flow::{Stored, embed, expected, numbered};
use crate::server::{Ask, DIM, Reply, Server};

/// Every fault that passes, dealt out by the request and how often it came; none the fourth time.
fn passing_fault(ask: &Ask) -> Reply {
    if ask.attempt >= 3 {
        return Reply::Faithful;
    }
    let after = |value: &str| vec![("Retry-After", value.to_owned())];
    let number: usize = ask.body.to_string().bytes().map(usize::from).sum();
    match (number * 3 + ask.attempt * 5) % 14 {
        0 | 1 => Reply::Drop,
        2 | 3 => Reply::Cut,
        4 => Reply::Other(429, after("0"), "slow down".into()),
        5 => Reply::Other(503, after("Sun, 06 Nov 1994 08:49:37 GMT"), String::new()),
        6 => Reply::status(500),
        7 => Reply::status(502),
        8 => Reply::body(r#"{"data": [{"index": 0, "embedding": [0.5, NaN"#),
        9 => Reply::body("<html>starting</html>"),
        10 => Reply::Late(Duration::from_millis(1500)),
        _ => Reply::Faithful,
    }
}

#[test]
fn a_mixture_of_passing_faults_loses_nothing() {
    for dialect in [Dialect::OpenAi, Dialect::Tei] {
        let server = Server::new(passing_fault);
        let mut config = server.config(dialect);
        config.timeout_s = 1.0;
        let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
        let texts = numbered(61);
        let (stored, result) = embed(&embedder, &texts);
        result.unwrap();
        assert_eq!(stored, expected(&texts));
        assert!(embedder.retries() > 20);
        assert_eq!(server.asks().len() as u64, 31 + embedder.retries());
    }
}

#[test]
fn a_fault_that_never_passes_ends_when_the_retries_are_used_up() {
    for (reply, message) in [
        (503, "got status 503: words of the server"),
        (0, "Peer disconnected"),
        (200, "in the JSON of the protocol, got something else"),
    ] {
        let server = Server::new(move |_| match reply {
            0 => Reply::Drop,
            200 => Reply::body("[1, 2"),
            status => Reply::status(status),
        });
        let mut config = server.config(Dialect::OpenAi);
        config.retries = 2;
        let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
        let error = embed(&embedder, &numbered(2)).1.unwrap_err().to_string();
        assert!(error.starts_with("the endpoint, rows 0 to 1: "), "{error}");
        assert!(error.contains(message) && error.ends_with("attempts made: 3"), "{error}");
        assert_eq!((server.asks().len(), embedder.retries()), (3, 2));
    }
}

#[test]
fn a_server_that_is_too_slow_or_gone_is_an_error() {
    let server = Server::new(|_| Reply::Late(Duration::from_millis(400)));
    let mut config = server.config(Dialect::Tei);
    (config.timeout_s, config.retries) = (0.1, 1);
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let error = embed(&embedder, &numbered(1)).1.unwrap_err().to_string();
    assert!(error.contains("row 0: no answer within 0.1 s"), "{error}");
    drop(server);
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    let error = embed(&embedder, &numbered(1)).1.unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("attempts made: 2"), "{error}");
}

#[test]
fn a_refusal_is_not_repeated() {
    for status in [400, 401, 403, 404, 413, 422] {
        let server = Server::new(move |_| Reply::status(status));
        let embedder = EndpointEmbedder::new(&server.config(Dialect::OpenAi), DIM, 1).unwrap();
        let (stored, result) = embed(&embedder, &numbered(2));
        let message = format!("expected an answer, got status {status}: words of the server");
        let error = result.unwrap_err().to_string();
        assert_eq!(error, format!("the endpoint, rows 0 to 1: {message}"));
        assert_eq!((stored, server.asks().len()), (Stored::new(), 1));
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::new(|_| Reply::Faithful);
    for status in [301, 302, 307, 308] {
        let target = format!("http://{}/v1/embeddings", other.address);
        let server = Server::new(move |_| {
            Reply::Other(status, vec![("Location", target.clone())], String::new())
        });
        let embedder = EndpointEmbedder::new(&server.config(Dialect::OpenAi), DIM, 1).unwrap();
        let error = embed(&embedder, &numbered(1)).1.unwrap_err().to_string();
        assert!(error.contains(&format!("got status {status}, a redirect")), "{error}");
        assert!(other.asks().is_empty() && server.asks().len() == 1);
    }
}

#[test]
fn an_answer_that_is_too_long_is_not_read() {
    let server = Server::new(|_| Reply::body(" ".repeat(4 << 20)));
    let embedder = EndpointEmbedder::new(&server.config(Dialect::OpenAi), DIM, 1).unwrap();
    let error = embed(&embedder, &numbered(1)).1.unwrap_err().to_string();
    assert!(error.contains("expected an answer of at most 589824 bytes, got a longer"), "{error}");
    assert_eq!(server.asks().len(), 1);
}

#[test]
fn the_server_says_when_to_come_back() {
    let server = Server::new(|ask| match ask.attempt {
        0 => Reply::Other(429, vec![("Retry-After", "1".into())], String::new()),
        _ => Reply::Faithful,
    });
    let started = Instant::now();
    let embedder =
        EndpointEmbedder::probe(&server.config(Dialect::Tei), 1, &Cancel::default()).unwrap();
    assert_eq!(embedder.dim(), DIM);
    assert!(started.elapsed() >= Duration::from_secs(1));
}
