//! Texts written by a model.

use std::collections::BTreeMap;
use std::time::Duration;

use das_content::{ChatClient, Completion, Dialect, EndpointConfig, Error, LanguageModel, Result};
use das_core::progress::{Cancel, Silent};
use serde_json::{Value, json};

use crate::flow::numbered;
use crate::server::{Ask, Reply, Server, chat};

fn complete(
    config: &EndpointConfig,
    prompts: &[String],
) -> (BTreeMap<usize, Completion>, Result<()>) {
    let client = ChatClient::new(config, Some("Be brief."), 1).unwrap();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let mut stored = BTreeMap::new();
    let mut done = |row, completion| {
        assert!(stored.insert(row, completion).is_none(), "row {row} twice");
        Ok(())
    };
    let result = client.complete_batches(&prompts, &Silent, &Cancel::default(), &mut done);
    (stored, result)
}

fn prompt(ask: &Ask) -> &Value {
    &ask.body["messages"][1]["content"]
}

#[test]
fn a_model_is_asked_one_prompt_at_a_time() {
    let server = Server::new(|_| Reply::Faithful);
    let mut config = server.config(Dialect::OpenAi);
    (config.max_tokens, config.temperature) = (77, 0.5);
    let (stored, result) = complete(&config, &numbered(1));
    result.unwrap();
    assert_eq!(stored[&0], Completion { text: "about text 0".into(), truncated: false });
    let system = json!({ "role": "system", "content": "Be brief." });
    let user = json!({ "role": "user", "content": "text 0" });
    let expected = json!({
        "model": "test-model", "messages": [system, user], "max_tokens": 77, "temperature": 0.5,
    });
    let ask = server.asks().pop().unwrap();
    assert_eq!((ask.path.as_str(), &ask.body), ("/v1/chat/completions", &expected));

    let client = ChatClient::new(&config, None, 1).unwrap();
    let done = &mut |_, _| Ok(());
    client.complete_batches(&["text 0"], &Silent, &Cancel::default(), done).unwrap();
    assert_eq!(server.asks()[1].body["messages"], json!([user]));

    // OpenAI's reasoning models refuse `max_tokens` and any temperature.
    config.reasoning = true;
    complete(&config, &numbered(1)).1.unwrap();
    let expected = json!({
        "model": "test-model", "messages": [system, user], "max_completion_tokens": 77,
    });
    assert_eq!(server.asks()[2].body, expected);
}

#[test]
fn a_mixture_of_passing_faults_loses_no_answer() {
    let server = Server::new(|ask| {
        let number: usize = prompt(ask).to_string().bytes().map(usize::from).sum();
        match (number + ask.attempt) % 6 {
            _ if ask.attempt >= 3 => Reply::Faithful,
            0 => Reply::Drop,
            1 => Reply::Cut,
            2 => Reply::status(529),
            3 => Reply::body(r#"{"choices": []}"#),
            4 => Reply::body(chat(json!(" \n"), "stop")),
            _ => Reply::Late(Duration::from_millis(20)),
        }
    });
    let prompts = numbered(50);
    let (stored, result) = complete(&server.config(Dialect::OpenAi), &prompts);
    result.unwrap();
    assert_eq!(stored.len(), prompts.len());
    assert!(stored.iter().all(|(row, written)| written.text == format!("about text {row}")));
    assert!(server.asks().len() > 70);
    assert!((2..=4).contains(&server.most_active()), "{}", server.most_active());
}

#[test]
fn answers_are_read_in_every_form() {
    let parts = json!([
        { "type": "thinking", "thinking": [] },
        { "type": "text", "text": "A red " },
        { "type": "text", "text": "lipstick.\n" },
    ]);
    for (content, reason, truncated) in [
        (json!("A red lipstick."), "stop", false),
        (json!("  A red lipstick.\n"), "length", true),
        (json!("<think>\nred?\n</think>\n\nA red lipstick."), "stop", false),
        (parts, "stop", false),
    ] {
        let answer = chat(content, reason);
        let server = Server::new(move |_| Reply::body(answer.clone()));
        let (stored, result) = complete(&server.config(Dialect::OpenAi), &numbered(1));
        result.unwrap();
        assert_eq!(stored[&0], Completion { text: "A red lipstick.".into(), truncated });
    }
}

#[test]
fn an_answer_that_stays_empty_is_an_error_about_its_row() {
    for (content, reason, message) in [
        (json!(""), "stop", "got an empty one; attempts made: 3"),
        (Value::Null, "stop", "got an empty one; attempts made: 3"),
        (
            json!("<think>hm"),
            "length",
            "got an empty one, cut off by `endpoint.max_tokens`; attempts made: 3",
        ),
    ] {
        let answer = chat(content, reason);
        let server = Server::new(move |ask| match prompt(ask).as_str() {
            Some("text 2") => Reply::body(answer.clone()),
            _ => Reply::Faithful,
        });
        let mut config = server.config(Dialect::OpenAi);
        (config.concurrency, config.retries) = (1, 2);
        let (stored, result) = complete(&config, &numbered(5));
        let error = result.unwrap_err().to_string();
        assert_eq!(error, format!("the endpoint, row 2: expected a text, {message}"));
        assert_eq!(Vec::from_iter(stored.into_keys()), [0, 1]);
        assert_eq!(server.asks().len(), 5);
    }
}

#[test]
fn a_model_must_be_named() {
    let server = Server::new(|_| Reply::Faithful);
    let mut config = server.config(Dialect::Tei);
    config.model = String::new();
    let error = ChatClient::new(&config, None, 1).unwrap_err();
    assert!(matches!(error, Error::Config { key: "endpoint.model", .. }), "{error}");
}
