//! What is asked of embedding servers, and what of their answers is believed.

use das_content::{Dialect, EndpointEmbedder, TextModel};
use das_core::progress::Cancel;
use serde_json::json;

use crate::flow::{embed, expected, numbered};
use crate::server::{DIM, KEY, Reply, Server, openai};

#[test]
fn each_dialect_is_asked_in_its_own_words() {
    let server = Server::new(|_| Reply::Faithful);
    for (dialect, path, body) in [
        (
            Dialect::OpenAi,
            "/v1/embeddings",
            json!({
                "model": "test-model", "input": ["text 0", "text 1"], "encoding_format": "float",
            }),
        ),
        (
            Dialect::Tei,
            "/v1/embed",
            json!({ "inputs": ["text 0", "text 1"], "truncate": true, "normalize": true }),
        ),
    ] {
        let mut config = server.config(dialect);
        config.url.push('/');
        let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
        let (stored, result) = embed(&embedder, &numbered(2));
        result.unwrap();
        assert_eq!(stored, expected(&numbered(2)));
        let ask = server.asks().pop().unwrap();
        assert_eq!((ask.path.as_str(), &ask.body), (path, &body));
        assert_eq!(ask.head["authorization"], format!("Bearer {KEY}"));
        assert_eq!(ask.head["content-type"], "application/json");
    }
}

#[test]
fn without_a_key_no_authorization_is_sent() {
    let server = Server::new(|_| Reply::Faithful);
    let mut config = server.config(Dialect::Tei);
    config.api_key_env = String::new();
    let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
    embed(&embedder, &numbered(1)).1.unwrap();
    assert!(!server.asks()[0].head.contains_key("authorization"));
}

#[test]
fn a_probe_learns_the_width_and_names_itself_in_errors() {
    let server = Server::new(|ask| match ask.number {
        0 => Reply::Faithful,
        1 => Reply::body("[[0.0, 0.0]]"),
        _ => Reply::body("[[]]"),
    });
    let config = server.config(Dialect::Tei);
    let cancel = Cancel::default();
    assert_eq!(EndpointEmbedder::probe(&config, 1, &cancel).unwrap().dim(), DIM);
    for message in ["a direction, got 2 values of 0", "from 1 to 16384 values, got 0"] {
        let error = EndpointEmbedder::probe(&config, 1, &cancel).unwrap_err().to_string();
        assert_eq!(error, format!("the endpoint, the probe text: expected {message}"));
    }
}

#[test]
fn wrong_answers_are_told_by_row_and_not_asked_for_again() {
    let good = || vec![1.0; DIM];
    let index = |a: usize, b: usize| {
        json!({ "data": [
            { "index": a, "embedding": good() }, { "index": b, "embedding": good() },
        ] })
        .to_string()
    };
    let null = r#"{"data": [{"index": 1, "embedding": [1, 2, 3, null]},
                            {"index": 0, "embedding": [1, 2, 3, 4]}]}"#;
    for (answer, message) in [
        (openai(&[good()]), "rows 2 to 3: expected 2 vectors, got 1"),
        (openai(&[good(), good(), good()]), "rows 2 to 3: expected 2 vectors, got 3"),
        (index(1, 1), "rows 2 to 3: expected every `index` once, got 1 twice"),
        (index(0, 2), "rows 2 to 3: expected every `index` below 2, got 2"),
        (openai(&[good(), vec![1.0; 5]]), "row 3: expected 4 values, got 5"),
        (openai(&[vec![], good()]), "row 2: expected from 1 to 16384 values, got 0"),
        (openai(&[good(), vec![0.0; DIM]]), "row 3: expected a direction, got 4 values of 0"),
        (null.into(), "row 3: value 3: expected a finite f32, got null"),
        (null.replace("null", "-1e39"), "row 3: value 3: expected a finite f32, got -1e39"),
    ] {
        let server = Server::new(move |ask| match ask.number {
            0 => Reply::Faithful,
            _ => Reply::body(answer.clone()),
        });
        let mut config = server.config(Dialect::OpenAi);
        config.concurrency = 1;
        let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
        let texts = numbered(6);
        let (stored, result) = embed(&embedder, &texts);
        assert_eq!(result.unwrap_err().to_string(), format!("the endpoint, {message}"));
        assert_eq!(stored, expected(&texts[..2]));
        assert_eq!(server.asks().len(), 2);
    }
}

#[test]
fn tei_answers_are_checked_alike() {
    for (answer, message) in [
        ("[[1, 2, 3, 4]]", "rows 0 to 1: expected 2 vectors, got 1"),
        ("[[1, 2, 3, 4], [1, 2, 3]]", "row 1: expected 4 values, got 3"),
        ("[[1, 2, 3, 4], [1, 2, null, 4]]", "row 1: value 2: expected a finite f32, got null"),
    ] {
        let server = Server::new(move |_| Reply::body(answer));
        let embedder = EndpointEmbedder::new(&server.config(Dialect::Tei), DIM, 1).unwrap();
        let error = embed(&embedder, &numbered(2)).1.unwrap_err().to_string();
        assert_eq!(error, format!("the endpoint, {message}"));
    }
}

#[test]
fn an_identity_is_of_the_model_and_not_of_the_place() {
    let [here, there] = [(); 2].map(|()| Server::new(|_| Reply::Faithful));
    let config = here.config(Dialect::OpenAi);
    let of = |config, dim| EndpointEmbedder::new(&config, dim, 1).unwrap().identity();
    let identity = of(config.clone(), DIM);
    assert_eq!((identity.kind.as_str(), identity.version, identity.dim), ("endpoint", 1, DIM));
    assert_eq!(of(there.config(Dialect::OpenAi), DIM), identity);
    let mut renamed = config.clone();
    renamed.model = "other-model".into();
    for other in [of(config, 5), of(here.config(Dialect::Tei), DIM), of(renamed, DIM)] {
        assert_ne!(other.hash, identity.hash);
    }
}

#[test]
fn a_width_that_no_server_has_is_refused() {
    let server = Server::new(|_| Reply::Faithful);
    for dim in [0, 16_385] {
        let error = EndpointEmbedder::new(&server.config(Dialect::Tei), dim, 1).unwrap_err();
        assert_eq!(error.to_string(), format!("expected a width from 1 to 16384, got {dim}"));
    }
}
