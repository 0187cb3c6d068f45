//! Settings of a remote inference server.

use std::fmt;

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use crate::error::within;
use crate::{Error, Result};

/// What stands in `Debug` outputs instead of something private.
const HIDDEN: &str = "<hidden>";

/// The protocol that embeddings are asked for in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `POST {url}/embeddings` as OpenAI defined it and vLLM, Ollama and others speak it.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
    /// `POST {url}/embed` of Hugging Face text-embeddings-inference.
    Tei,
}

/// Where a server stands, how it is spoken to, and how hard it may be pressed. The address and the
/// key are private: `Debug` hides the one and never sees the other.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointConfig {
    /// Protocol of the embeddings; chat is always OpenAI's.
    pub dialect: Dialect,
    /// Base of the addresses, such as `http://localhost:8000/v1`: http or https, without user
    /// name, password or query. For https the certificate authorities of Mozilla are trusted.
    /// It is never written anywhere.
    #[serde(skip_serializing)]
    pub url: String,
    /// The model's name, as the server knows it. TEI serves one model and is not told its name,
    /// but the name still tells this embedder from others.
    pub model: String,
    /// Name of the environment variable that holds the key; empty where none is needed. The key
    /// itself never stands in a configuration.
    pub api_key_env: String,
    /// Requests in flight at a time.
    pub concurrency: usize,
    /// Seconds that a request may take, from the connection to the last byte of the answer.
    pub timeout_s: f64,
    /// How often a request is repeated after faults that may pass.
    pub retries: u32,
    /// Bound of the wait before the first repetition, in milliseconds; it doubles with each.
    pub backoff_ms: u64,
    /// Texts in a request for embeddings.
    pub batch_size: usize,
    /// Longest answer of a chat, in tokens.
    pub max_tokens: u32,
    /// Randomness of a chat's answers; 0 takes the likeliest token each time.
    pub temperature: f64,
    /// Whether the model reasons before it answers, in the way of OpenAI's own: the limit, which
    /// then covers the reasoning too, is sent as `max_completion_tokens`, and no temperature.
    pub reasoning: bool,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            dialect: Dialect::default(),
            url: String::new(),
            model: String::new(),
            api_key_env: String::new(),
            concurrency: 8,
            timeout_s: 60.0,
            retries: 6,
            backoff_ms: 500,
            batch_size: 32,
            max_tokens: 128,
            temperature: 0.0,
            reasoning: false,
        }
    }
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no name may be a key that was written in the wrong place.
        let named = self.api_key_env.is_empty() || is_variable_name(&self.api_key_env);
        f.debug_struct("EndpointConfig")
            .field("dialect", &self.dialect)
            .field("url", &HIDDEN)
            .field("model", &self.model)
            .field("api_key_env", if named { &self.api_key_env } else { &HIDDEN })
            .field("concurrency", &self.concurrency)
            .field("timeout_s", &self.timeout_s)
            .field("retries", &self.retries)
            .field("backoff_ms", &self.backoff_ms)
            .field("batch_size", &self.batch_size)
            .field("max_tokens", &self.max_tokens)
            .field("temperature", &self.temperature)
            .field("reasoning", &self.reasoning)
            .finish()
    }
}

impl EndpointConfig {
    /// Checks every value against its range. The environment is not looked at.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first key that is out of range, never the address.
    pub fn check(&self) -> Result<()> {
        self.base()?;
        if self.dialect == Dialect::OpenAi {
            self.check_model()?;
        }
        if !self.api_key_env.is_empty() && !is_variable_name(&self.api_key_env) {
            return Err(Error::Config {
                key: "endpoint.api_key_env",
                expected: "the name of an environment variable in capitals, digits and `_`".into(),
                got: "something else (not shown: it may be the key itself)".into(),
            });
        }
        within("endpoint.concurrency", self.concurrency, 1..=256)?;
        within("endpoint.timeout_s", self.timeout_s, 1e-3..=86_400.0)?;
        within("endpoint.retries", self.retries, 0..=100)?;
        within("endpoint.backoff_ms", self.backoff_ms, 1..=60_000)?;
        within("endpoint.batch_size", self.batch_size, 1..=2048)?;
        within("endpoint.max_tokens", self.max_tokens, 1..=65_536)?;
        within("endpoint.temperature", self.temperature, 0.0..=2.0)
    }

    /// That a model is named, where the protocol asks for one.
    pub(super) fn check_model(&self) -> Result<()> {
        if self.model.is_empty() {
            return Err(Error::Config {
                key: "endpoint.model",
                expected: "the name of a model".into(),
                got: "nothing".into(),
            });
        }
        Ok(())
    }

    /// The parsed address.
    pub(super) fn base(&self) -> Result<Uri> {
        parse_base(&self.url).map_err(|got| Error::Config {
            key: "endpoint.url",
            expected: "an address such as `http://localhost:8000/v1`".into(),
            got: got.into(),
        })
    }

    /// Reads the key from the environment; none where no variable is named.
    ///
    /// # Errors
    /// A variable that is unset, empty, or holds what no key does; its name is told, its value is
    /// not.
    pub(super) fn api_key(&self) -> Result<Option<String>> {
        let name = &self.api_key_env;
        if name.is_empty() {
            return Ok(None);
        }
        let refuse = |fault| {
            let expected = "the name of an environment variable that holds a key".into();
            let got = format!("`{name}`, which {fault}");
            Error::Config { key: "endpoint.api_key_env", expected, got }
        };
        let key = std::env::var_os(name).ok_or_else(|| refuse("is not set"))?;
        match key.into_string() {
            Ok(key) if key.is_empty() => Err(refuse("is empty")),
            Ok(key) if key.bytes().all(is_in_keys) => Ok(Some(key)),
            _ => Err(refuse("holds something else than letters, digits and plain signs")),
        }
    }
}

/// Parses an address; the error says what came without repeating it.
fn parse_base(url: &str) -> Result<Uri, &'static str> {
    if url.is_empty() {
        return Err("nothing");
    }
    if url.contains(['?', '#']) {
        return Err("one with a query or a fragment");
    }
    let uri: Uri = url.parse().map_err(|_| "something that is no address")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("one that begins with neither `http://` nor `https://`");
    }
    let authority = uri.authority().ok_or("one without a host")?.as_str();
    if authority.contains('@') {
        return Err("one with a user name or password");
    }
    let host = uri.host().unwrap_or("");
    if host.is_empty() {
        return Err("one without a host");
    }
    let port = authority.strip_prefix(host).unwrap_or("");
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("one with a port out of range");
    }
    Ok(uri)
}

/// Visible ASCII without what JSON escapes, so that a key is found in whatever repeats it.
fn is_in_keys(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}

/// Keys have small letters or dashes, so that one put here by mistake is no name.
fn is_variable_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(allowed) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}
