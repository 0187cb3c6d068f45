//! Neither the key nor the address of the server leaves the clients.

use std::fmt::Debug;
use std::time::Duration;

use das_content::{ChatClient, Dialect, EndpointConfig, EndpointEmbedder};

use crate::flow::{embed, numbered};
use crate::server::{Ask, DIM, KEY, Reply, Server};

/// Repeats all that it was told in confidence.
fn echo(ask: &Ask) -> String {
    let (authorization, host) = (&ask.head["authorization"], &ask.head["host"]);
    format!("\u{1b}[31m{authorization} at http://{host}{} on {host}\r\nX", ask.path)
}

fn assert_private(server: &Server, told: &str) {
    let port = format!(":{}", server.address.port());
    for private in [KEY, "127.0.0.1", "http://", &port] {
        assert!(!told.contains(private), "`{private}` in: {told}");
    }
}

fn shown<T: Debug>(value: &T) -> String {
    format!("{value:?} {value:#?}")
}

#[test]
fn no_error_shows_the_key_or_the_address() {
    let scripts: [fn(&Ask) -> Reply; 7] = [
        |ask| Reply::Other(401, vec![], echo(ask)),
        |ask| Reply::Other(500, vec![], serde_json::json!({ "error": echo(ask) }).to_string()),
        |ask| {
            Reply::Other(307, vec![("Location", format!("http://{}", ask.head["host"]))], echo(ask))
        },
        |ask| Reply::body(serde_json::json!({ "data": echo(ask) }).to_string()),
        |ask| Reply::body(echo(ask)),
        |_| Reply::Drop,
        |_| Reply::Late(Duration::from_millis(500)),
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let server = Server::new(script);
        let mut config = server.config(Dialect::OpenAi);
        (config.retries, config.timeout_s) = (1, if number == 6 { 0.1 } else { 10.0 });
        let embedder = EndpointEmbedder::new(&config, DIM, 1).unwrap();
        let error = embed(&embedder, &numbered(2)).1.unwrap_err();
        assert!(!error.to_string().contains(char::is_control));
        assert_private(&server, &format!("{error} {}", shown(&error)));
    }
}

#[test]
fn a_long_refusal_is_cut_short() {
    let server = Server::new(|ask| Reply::Other(400, vec![], echo(ask).repeat(50)));
    let embedder = EndpointEmbedder::new(&server.config(Dialect::OpenAi), DIM, 1).unwrap();
    let error = embed(&embedder, &numbered(2)).1.unwrap_err().to_string();
    let words = error.split_once("got status 400: ").unwrap().1;
    assert_eq!(words.chars().count(), 200);
    assert!(words.starts_with("[31mBearer <hidden> at <hidden>/embeddings on <hidden> X"));
}

#[test]
fn nothing_debugs_to_the_key_or_the_address() {
    let server = Server::new(|_| Reply::Faithful);
    let config = server.config(Dialect::OpenAi);
    assert_private(&server, &shown(&config));
    assert_private(&server, &shown(&EndpointEmbedder::new(&config, DIM, 1).unwrap()));
    assert_private(&server, &shown(&ChatClient::new(&config, None, 1).unwrap()));
}

#[test]
fn a_key_in_the_place_of_its_name_is_not_repeated() {
    for key in ["sk-abc", "hf_aBcD", "1ABC"] {
        let config = EndpointConfig {
            url: "http://localhost".into(),
            model: "m".into(),
            api_key_env: key.into(),
            ..Default::default()
        };
        let error = config.check().unwrap_err();
        assert!(error.to_string().starts_with("`endpoint.api_key_env`"), "{error}");
        assert!(!format!("{error} {error:?} {config:?}").contains(key));
    }
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let server = Server::new(|_| Reply::Faithful);
    let mut config = server.config(Dialect::OpenAi);
    config.api_key_env = "DAS_TEST_NO_SUCH_VARIABLE".into();
    let error = EndpointEmbedder::new(&config, DIM, 1).unwrap_err().to_string();
    assert!(error.ends_with("got `DAS_TEST_NO_SUCH_VARIABLE`, which is not set"), "{error}");
}
