//! The settings of an endpoint.

use das_content::{Dialect, EndpointConfig, Error};
use serde_json::json;

fn config() -> EndpointConfig {
    EndpointConfig {
        url: "http://localhost:8000/v1".into(),
        model: "m".into(),
        ..Default::default()
    }
}

/// The key that is refused, and the whole message.
fn refused(config: &EndpointConfig) -> (&'static str, String) {
    match config.check() {
        Err(error @ Error::Config { key, .. }) => (key, error.to_string()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn settings_are_read_by_name_and_unknown_ones_refused() {
    let read: EndpointConfig =
        serde_json::from_value(json!({ "dialect": "tei", "url": "https://h/", "retries": 2 }))
            .unwrap();
    let expected = EndpointConfig {
        dialect: Dialect::Tei,
        url: "https://h/".into(),
        retries: 2,
        ..Default::default()
    };
    assert_eq!(read, expected);
    read.check().unwrap();
    assert_eq!(json!(EndpointConfig::default())["dialect"], "openai");
    assert!(serde_json::from_value::<EndpointConfig>(json!({ "uri": "x" })).is_err());
}

#[test]
fn addresses_are_checked_and_never_repeated() {
    for url in ["http://h", "HTTPS://h/v1/", "http://10.0.0.1:80", "http://[::1]:8080/a/b"] {
        EndpointConfig { url: url.into(), ..config() }.check().unwrap();
    }
    for (url, message) in [
        ("", "nothing"),
        ("localhost:8000", "neither `http://` nor `https://`"),
        ("/v1", "neither `http://` nor `https://`"),
        ("ftp://secret", "neither `http://` nor `https://`"),
        ("http://user:secret@h/v1", "user name or password"),
        ("http://secret@h/v1", "user name or password"),
        ("http://h/v1?key=secret", "a query or a fragment"),
        ("http://h/v1#secret", "a query or a fragment"),
        ("http://h:99999", "a port out of range"),
        ("http://h:0", "a port out of range"),
        ("http://secret host/", "something that is no address"),
        ("http://", "something that is no address"),
    ] {
        let (key, told) = refused(&EndpointConfig { url: url.into(), ..config() });
        assert_eq!(key, "endpoint.url");
        assert!(told.contains(message) && !told.contains("secret"), "{url}: {told}");
    }
}

#[test]
fn every_number_has_a_range() {
    config().check().unwrap();
    let with = |change: fn(&mut EndpointConfig)| {
        let mut config = config();
        change(&mut config);
        refused(&config).0
    };
    assert_eq!(with(|c| c.model.clear()), "endpoint.model");
    assert_eq!(with(|c| c.concurrency = 0), "endpoint.concurrency");
    assert_eq!(with(|c| c.timeout_s = 0.0), "endpoint.timeout_s");
    assert_eq!(with(|c| c.timeout_s = f64::NAN), "endpoint.timeout_s");
    assert_eq!(with(|c| c.retries = 101), "endpoint.retries");
    assert_eq!(with(|c| c.backoff_ms = 0), "endpoint.backoff_ms");
    assert_eq!(with(|c| c.batch_size = 0), "endpoint.batch_size");
    assert_eq!(with(|c| c.max_tokens = 0), "endpoint.max_tokens");
    assert_eq!(with(|c| c.temperature = f64::INFINITY), "endpoint.temperature");
}
