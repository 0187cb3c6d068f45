//! A server of embeddings and chat that answers faithfully, or with any fault that a test scripts.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use das_content::{Dialect, EndpointConfig};
use das_core::files::sha256_bytes;
use serde_json::{Value, json};

/// Width of the faithful vectors.
pub(crate) const DIM: usize = 4;
/// Cargo sets it for every test, so that no test has to change the environment of the others.
pub(crate) const KEY_ENV: &str = "CARGO_PKG_NAME";
/// What it is set to.
pub(crate) const KEY: &str = "das-content";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// How many requests came before it.
    pub number: usize,
    /// How often the same request came before.
    pub attempt: usize,
    pub path: String,
    pub body: Value,
    /// Head lines by their names in lower case.
    pub head: HashMap<String, String>,
}

/// What the server does about a request.
pub(crate) enum Reply {
    /// Answers as it should.
    Faithful,
    /// Answers as it should, after a while.
    Late(Duration),
    /// Answers with this status, these head lines and this body.
    Other(u16, Vec<(&'static str, String)>, String),
    /// Closes the connection before it answers.
    Drop,
    /// Closes the connection in the middle of the body.
    Cut,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply::Other(status, vec![], r#"{"error": {"message": "words of the server"}}"#.into())
    }

    pub(crate) fn body(body: impl Into<String>) -> Reply {
        Reply::Other(200, vec![], body.into())
    }
}

type Script = Box<dyn Fn(&Ask) -> Reply + Send + Sync>;

struct Shared {
    script: Script,
    asks: Mutex<Vec<Ask>>,
    /// Requests being answered, and the most there ever were.
    active: Mutex<(usize, usize)>,
    closing: AtomicBool,
}

/// Serves until it is dropped.
pub(crate) struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new(script: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asks: Mutex::default(),
            active: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if state.closing.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&state);
                // A connection ends with its client, or when it is broken.
                thread::spawn(move || while_some(|| state.serve(stream.as_ref().ok()?)));
            }
        });
        Server { address, shared, acceptor: Some(acceptor) }
    }

    /// Settings for this server: a key, small waits, two texts a request.
    pub(crate) fn config(&self, dialect: Dialect) -> EndpointConfig {
        EndpointConfig {
            dialect,
            url: format!("http://{}/v1", self.address),
            model: "test-model".into(),
            api_key_env: KEY_ENV.into(),
            concurrency: 4,
            timeout_s: 10.0,
            backoff_ms: 2,
            batch_size: 2,
            ..Default::default()
        }
    }

    /// What was asked so far, in the order of arrival.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        self.shared.asks.lock().unwrap().clone()
    }

    /// The most requests that were ever answered at a time.
    pub(crate) fn most_active(&self) -> usize {
        self.shared.active.lock().unwrap().1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            acceptor.join().unwrap();
        }
    }
}

fn while_some(mut step: impl FnMut() -> Option<()>) {
    while step().is_some() {}
}

impl Shared {
    /// One request and its answer; none once the connection is to be closed.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let ask = self.receive(stream)?;
        {
            let mut active = self.active.lock().unwrap();
            active.0 += 1;
            active.1 = active.1.max(active.0);
        }
        let reply = (self.script)(&ask);
        if let Reply::Late(pause) = reply {
            thread::sleep(pause);
        }
        // Before the last byte is out, or the next request might be here already.
        self.active.lock().unwrap().0 -= 1;
        match reply {
            Reply::Faithful | Reply::Late(_) => send(stream, 200, &[], &faithful(&ask), None),
            Reply::Other(status, head, body) => send(stream, status, &head, &body, None),
            Reply::Cut => {
                let body = faithful(&ask);
                send(stream, 200, &[], &body, Some(body.len() / 2));
                None
            }
            Reply::Drop => None,
        }
    }

    fn receive(&self, stream: &TcpStream) -> Option<Ask> {
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
            Some(line.trim_end().to_owned())
        };
        let path = line()?.split(' ').nth(1)?.to_owned();
        let mut head = HashMap::new();
        while let Some((name, value)) = line()?.split_once(": ") {
            head.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; head["content-length"].parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let mut asks = self.asks.lock().unwrap();
        let attempt = asks.iter().filter(|ask| ask.body == body).count();
        let ask = Ask { number: asks.len(), attempt, path, body, head };
        asks.push(ask.clone());
        Some(ask)
    }
}

/// Writes an answer, or only the first `cut` bytes of its body.
fn send(
    mut stream: &TcpStream,
    status: u16,
    head: &[(&str, String)],
    body: &str,
    cut: Option<usize>,
) -> Option<()> {
    let mut answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in head {
        answer += &format!("{name}: {value}\r\n");
    }
    answer += "\r\n";
    answer += &body[..cut.unwrap_or(body.len())];
    stream.write_all(answer.as_bytes()).ok()
}

/// The right answer to a request.
fn faithful(ask: &Ask) -> String {
    match ask.path.as_str() {
        "/v1/embeddings" => {
            let vectors: Vec<_> = texts(ask).iter().map(|text| vector(text)).collect();
            openai(&vectors)
        }
        "/v1/embed" => {
            json!(texts(ask).iter().map(|text| vector(text)).collect::<Vec<_>>()).to_string()
        }
        "/v1/chat/completions" => {
            let prompt =
                ask.body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
            chat(json!(format!("about {}", prompt.as_str().unwrap())), "stop")
        }
        other => panic!("no such path: {other}"),
    }
}

/// The texts in a request for embeddings.
pub(crate) fn texts(ask: &Ask) -> Vec<String> {
    let name = if ask.path.ends_with("/embed") { "inputs" } else { "input" };
    serde_json::from_value(ask.body[name].clone()).unwrap()
}

/// The answer of the OpenAI protocol with `vectors`, the last first.
pub(crate) fn openai(vectors: &[Vec<f32>]) -> String {
    let data = vectors.iter().enumerate().rev();
    let data = data.map(|(index, embedding)| json!({ "index": index, "embedding": embedding }));
    json!({ "object": "list", "data": data.collect::<Vec<_>>(), "usage": {} }).to_string()
}

/// A chat's answer.
pub(crate) fn chat(content: Value, finish_reason: &str) -> String {
    let message = json!({ "role": "assistant", "content": content });
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
    json!({ "id": "1", "choices": [choice], "usage": { "total_tokens": 3 } }).to_string()
}

/// The vector of a text, of any norm.
pub(crate) fn vector(text: &str) -> Vec<f32> {
    let hash = sha256_bytes(text.as_bytes()).into_bytes();
    hash[..DIM].iter().map(|&digit| f32::from(digit) - 70.5).collect()
}
