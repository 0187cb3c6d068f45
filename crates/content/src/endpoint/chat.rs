//! Texts written by a language model.

use das_core::progress::{Cancel, Progress};
use das_core::streams;
use serde::Deserialize;
use serde_json::json;

use super::EndpointConfig;
use super::client::{Client, Fault, Request};
use super::pool::{self, Stop};
use super::rows::Rows;
use crate::Result;
use crate::describe::{self, Completion, LanguageModel};

/// Bytes of a token in JSON, with every character escaped.
const TOKEN_BYTES: u64 = 256;
/// What stands around the text: usage, or an answer's reasoning repeated in a field of its own.
const FRAME_BYTES: u64 = 1 << 20;

/// A model behind an OpenAI-compatible chat endpoint.
#[derive(Debug)]
pub struct ChatClient {
    client: Client,
    config: EndpointConfig,
    system: Option<String>,
    seed: u64,
}

impl ChatClient {
    /// A client that puts `system` before every prompt. Nothing is sent. `seed` draws the waits
    /// before repeated requests, and decides nothing else.
    ///
    /// # Errors
    /// A setting out of range, no model named, or a key that the environment lacks.
    pub fn new(config: &EndpointConfig, system: Option<&str>, seed: u64) -> Result<ChatClient> {
        let client = Client::new(config)?;
        config.check_model()?;
        Ok(ChatClient { client, config: config.clone(), system: system.map(Into::into), seed })
    }

    /// How many requests were repeated so far.
    pub fn retries(&self) -> u64 {
        self.client.repeated()
    }

    /// One request.
    fn complete(&self, prompt: &str, row: usize, stop: Stop<'_>) -> Result<Completion> {
        let system = self.system.iter().map(|text| json!({ "role": "system", "content": text }));
        let user = json!({ "role": "user", "content": prompt });
        let mut body = json!({
            "model": self.config.model,
            "messages": system.chain([user]).collect::<Vec<_>>(),
        });
        if self.config.reasoning {
            body["max_completion_tokens"] = self.config.max_tokens.into();
        } else {
            body["max_tokens"] = self.config.max_tokens.into();
            body["temperature"] = self.config.temperature.into();
        }
        let request = Request {
            path: "/chat/completions",
            body: body.to_string(),
            max_response_bytes: FRAME_BYTES + TOKEN_BYTES * u64::from(self.config.max_tokens),
            rows: Rows::one(row),
        };
        let mut rng = streams::stream(self.seed, "endpoint/chat", row as u64);
        self.client.post(&request, &mut rng, stop, read)
    }
}

impl LanguageModel for ChatClient {
    /// The model's name and what is asked of it, as a hash; never the address.
    fn identity(&self) -> String {
        let EndpointConfig { model, max_tokens, temperature, reasoning, .. } = &self.config;
        let temperature = (!reasoning).then_some(temperature);
        describe::identity("chat", model, json!([max_tokens, temperature, self.system]))
    }

    /// Has each of `prompts` answered, `concurrency` at a time. As soon as an answer is there,
    /// `done` gets the index of its prompt and what was written, on the calling thread; answers
    /// come in any order.
    ///
    /// After a failure no new request is sent; those in flight may end, and what they bring still
    /// goes to `done`. So whatever `done` has stored need not be asked for again.
    ///
    /// # Errors
    /// [`crate::Error::Endpoint`] naming the row, also where the answer stays empty; the error of
    /// `done`, which is then not called again; `Interrupted` once `cancel` is set. An interruption
    /// waits for requests in flight, at most `timeout_s`.
    fn complete_batches(
        &self,
        prompts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: &mut dyn FnMut(usize, Completion) -> Result<()>,
    ) -> Result<()> {
        let mut answered = 0;
        progress.begin("describe texts", Some(prompts.len() as u64));
        let request = |row: usize, stop: Stop<'_>| self.complete(prompts[row], row, stop);
        let mut store = |row, completion| {
            done(row, completion)?;
            answered += 1;
            progress.update(answered, &self.client.note());
            Ok(())
        };
        let workers = self.config.concurrency;
        let result = pool::run(prompts.len(), workers, cancel, request, &mut store);
        progress.end();
        result
    }
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
}

/// Most servers send a text, some a list of parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

/// The text of an answer. An empty one may be luck of the draw, so that it is asked for again.
fn read(body: &[u8]) -> Result<Completion, Fault> {
    let answer: Answer = serde_json::from_slice(body)?;
    let Some(Choice { message, finish_reason }) = answer.choices.into_iter().next() else {
        return Err(Fault::Passing("expected a text, got no choice".into(), None));
    };
    let truncated = finish_reason.as_deref() == Some("length");
    let content = match message.content {
        None => String::new(),
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => {
            parts.into_iter().filter(|part| part.r#type == "text").filter_map(|p| p.text).collect()
        }
    };
    let text = without_reasoning(&content).trim();
    if !text.is_empty() {
        return Ok(Completion { text: text.into(), truncated });
    }
    let cut = if truncated { ", cut off by `endpoint.max_tokens`" } else { "" };
    Err(Fault::Passing(format!("expected a text, got an empty one{cut}"), None))
}

/// What follows a model's reasoning. Some templates have the opening tag in the prompt, so that the
/// closing one stands alone; reasoning that was cut off has only the opening one.
pub(crate) fn without_reasoning(text: &str) -> &str {
    match text.rsplit_once("</think>") {
        Some((_, answer)) => answer,
        None if text.trim_start().starts_with("<think>") => "",
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::without_reasoning;

    #[test]
    fn reasoning_goes_in_every_form() {
        for (text, expected) in [
            ("A lipstick.", "A lipstick."),
            ("<think>hm</think>A lipstick.", "A lipstick."),
            ("hm</think>\nA lipstick.", "\nA lipstick."),
            ("<think>a</think>x<think>b</think>A lipstick.", "A lipstick."),
            (" <think>never closed", ""),
        ] {
            assert_eq!(without_reasoning(text), expected);
        }
    }
}
