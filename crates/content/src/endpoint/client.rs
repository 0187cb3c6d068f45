//! One request at a time: sent, repeated after faults that may pass, and read within bounds.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rand::Rng;
use serde_json::Value;
use ureq::http::header::{AUTHORIZATION, RETRY_AFTER};
use ureq::http::{HeaderValue, Response, StatusCode};
use ureq::{Agent, Body, Proxy};

use super::EndpointConfig;
use super::pool::Stop;
use super::retry::{backoff, retry_after, wait};
use super::rows::Rows;
use super::secrets::Secrets;
use crate::Result;

/// Characters that are shown of a server's own words.
const MAX_EXCERPT: usize = 200;
/// A refusal longer than this is no message, and nothing of it is shown.
const MAX_REFUSAL_BYTES: u64 = 64 << 10;

/// What is sent, and what the errors about it say.
pub(super) struct Request {
    /// Path below the base address, with a leading slash.
    pub(super) path: &'static str,
    /// The JSON to send.
    pub(super) body: String,
    /// The longest answer that is read, in bytes.
    pub(super) max_response_bytes: u64,
    /// The texts that are asked about.
    pub(super) rows: Rows,
}

/// Why an attempt failed.
pub(super) enum Fault {
    /// May pass: the request is repeated, not before the given time has gone by.
    Passing(String, Option<Duration>),
    /// The answer is not JSON, or other JSON than expected, as one that was cut off is. May pass.
    Nonsense(serde_json::Error),
    /// The same request would fail again. The rows are those at fault.
    Lasting(String, Rows),
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Fault::Nonsense(error)
    }
}

/// Posts JSON to one server. Connections are kept and shared between threads.
pub(super) struct Client {
    agent: Agent,
    /// The address without a slash at its end.
    base: String,
    authorization: Option<HeaderValue>,
    secrets: Secrets,
    timeout: Duration,
    retries: u32,
    backoff: Duration,
    repeated: AtomicU64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address nor the key.
        f.debug_struct("Client").field("retries", &self.retries).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks `config` and reads the key from the environment; nothing is sent.
    pub(super) fn new(config: &EndpointConfig) -> Result<Client> {
        config.check()?;
        let base = config.base()?;
        let key = config.api_key()?;
        let timeout = Duration::from_secs_f64(config.timeout_s);
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would carry the texts, and perhaps the key, to another host.
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .max_idle_connections(config.concurrency)
            .max_idle_connections_per_host(config.concurrency)
            .user_agent("das");
        // A proxy's way to this very machine would end at the proxy's.
        let proxy =
            if is_loopback(base.host().unwrap_or("")) { None } else { Proxy::try_from_env() };
        Ok(Client {
            agent: builder.proxy(proxy).build().into(),
            base: config.url.trim_end_matches('/').into(),
            authorization: key.as_deref().map(bearer),
            secrets: Secrets::new(key.as_deref(), &base),
            timeout,
            retries: config.retries,
            backoff: Duration::from_millis(config.backoff_ms),
            repeated: AtomicU64::new(0),
        })
    }

    /// How many attempts were repetitions, since this client was made.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The same, as a note beside progress.
    pub(super) fn note(&self) -> String {
        match self.repeated() {
            0 => String::new(),
            repeated => format!("requests repeated: {repeated}"),
        }
    }

    /// Sends `request` and has `read` take the answer apart; tries again after faults that may
    /// pass. `rng` draws the waits.
    ///
    /// # Errors
    /// `Interrupted` while waiting once `stop` says so; a request in flight is not cut off.
    /// [`crate::Error::Endpoint`] once a fault will not pass, or the retries are used up.
    pub(super) fn post<T>(
        &self,
        request: &Request,
        rng: &mut impl Rng,
        stop: Stop<'_>,
        read: impl Fn(&[u8]) -> Result<T, Fault>,
    ) -> Result<T> {
        let mut attempt = 0;
        loop {
            stop.check()?;
            let fault = match self.attempt(request).and_then(|body| read(&body)) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let (message, asked) = match fault {
                Fault::Lasting(message, rows) => return Err(rows.error(message)),
                Fault::Passing(message, asked) => (message, asked),
                Fault::Nonsense(error) => (self.nonsense(&error), None),
            };
            if attempt == self.retries {
                let message = format!("{message}; attempts made: {}", attempt + 1);
                return Err(request.rows.error(message));
            }
            wait(backoff(attempt, self.backoff, asked, rng), stop)?;
            attempt += 1;
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One attempt, up to the last byte of an answer whose status is success.
    fn attempt(&self, request: &Request) -> Result<Vec<u8>, Fault> {
        let url = format!("{}{}", self.base, request.path);
        let mut builder = self.agent.post(url).content_type("application/json");
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let mut response =
            builder.send(&request.body).map_err(|error| self.transport(error, request))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(status, &mut response, request.rows));
        }
        let body = response.body_mut().with_config().limit(request.max_response_bytes);
        body.read_to_vec().map_err(|error| self.transport(error, request))
    }

    /// What an answer with another status than success means.
    fn refusal(&self, status: StatusCode, response: &mut Response<Body>, rows: Rows) -> Fault {
        if status.is_redirection() {
            let message = format!(
                "expected an answer, got status {}, a redirect, which is not followed: \
                 `endpoint.url` must be where the server itself answers",
                status.as_u16()
            );
            return Fault::Lasting(message, rows);
        }
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| retry_after(value, SystemTime::now()));
        let body = response.body_mut().with_config().limit(MAX_REFUSAL_BYTES).read_to_vec();
        let words = self.secrets.clean(&own_words(&body.unwrap_or_default()), MAX_EXCERPT);
        let mut message = format!("expected an answer, got status {}", status.as_u16());
        if !words.is_empty() {
            message += &format!(": {words}");
        }
        if may_pass(status) {
            Fault::Passing(message, asked)
        } else {
            Fault::Lasting(message, rows)
        }
    }

    /// What a failure below HTTP means. Most pass: a server that is started again refuses
    /// connections, a busy one drops them.
    fn transport(&self, error: ureq::Error, request: &Request) -> Fault {
        use ureq::Error as E;
        let message = match &error {
            E::Timeout(_) => format!("no answer within {} s", self.timeout.as_secs_f64()),
            E::BodyExceedsLimit(limit) => {
                format!("expected an answer of at most {limit} bytes, got a longer one")
            }
            // These name the address, or say nothing that helps.
            E::BadUri(_) | E::Http(_) => "the request cannot be built".into(),
            other => self.secrets.clean(&other.to_string(), MAX_EXCERPT),
        };
        match error {
            E::Timeout(_)
            | E::Io(_)
            | E::Protocol(_)
            | E::HostNotFound
            | E::ConnectionFailed
            | E::ConnectProxyFailed(_)
            | E::BodyStalled => Fault::Passing(message, None),
            _ => Fault::Lasting(message, request.rows),
        }
    }

    fn nonsense(&self, error: &serde_json::Error) -> String {
        let error = self.secrets.clean(&error.to_string(), MAX_EXCERPT);
        format!("expected an answer in the JSON of the protocol, got something else: {error}")
    }
}

/// The header that carries `key`, which is of visible ASCII alone.
fn bearer(key: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).expect("visible ASCII");
    value.set_sensitive(true);
    value
}

/// Whether the same request may meet another status later: the server is busy, starting, or
/// behind something that is. 501 and 505 speak of the request.
fn may_pass(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 425 | 429 => true,
        501 | 505 => false,
        status => status >= 500,
    }
}

/// The message within a refusal, in the forms that servers use, or else all of it. JSON is written
/// anew: its escapes may hide a secret from the search for it.
fn own_words(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let places = ["/error/message", "/message", "/error", "/detail"];
    let message = places.iter().find_map(|place| value.pointer(place)?.as_str());
    message.map_or_else(|| value.to_string(), Into::into)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal_are_found_in_every_form() {
        for body in [
            r#"{"error": {"message": "no such model", "type": "x", "code": null}}"#,
            r#"{"object": "error", "message": "no such model", "code": 404}"#,
            r#"{"error": "no such model", "error_type": "Validation"}"#,
            r#"{"detail": "no such model"}"#,
            "no such model",
        ] {
            assert_eq!(own_words(body.as_bytes()), "no such model", "{body}");
        }
        assert_eq!(own_words(br#"{"detail": ["a\/b\u002dc"]}"#), r#"{"detail":["a/b-c"]}"#);
    }

    #[test]
    fn statuses_that_speak_of_the_server_may_pass() {
        let passing = |status| may_pass(StatusCode::from_u16(status).unwrap());
        assert!([408, 425, 429, 500, 502, 503, 504, 524, 529].into_iter().all(passing));
        assert!(![400, 401, 403, 404, 413, 422, 501, 505].into_iter().any(passing));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(
            ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"]
                .iter()
                .all(|h| is_loopback(h))
        );
        assert!(!["localhost.example", "10.0.0.1", "[::2]", ""].iter().any(|h| is_loopback(h)));
    }
}
