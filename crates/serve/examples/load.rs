//! Puts an HTTP/1.1 service under load, at a rate that does not wait for its answers or as fast as they come.
//!
//! ```console
//! $ cargo run --release -p das-serve --example load -- 127.0.0.1:8080 /v1/lookup --bodies bodies.jsonl --rate 5000
//! ```
//!
//! Every connection has a Poisson process of its own, and their sum is one of the whole rate. A request that falls due
//! while its connection waits for an answer goes out late, so three times are kept apart: from when it was due, from
//! when it was sent, and how late this program was by itself, which has one thread and a timer of 1 ms. One line of JSON
//! says them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

/// Longer than a service may take over a request.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_HEADERS: usize = 64;

#[derive(Parser)]
struct Options {
    /// Where the service listens
    address: SocketAddr,
    /// Path that is posted to
    path: String,
    /// File of JSON bodies, a line each, that requests are drawn from
    #[arg(long)]
    bodies: PathBuf,
    /// Seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests a second of all connections; without it each sends as soon as it has its answer
    #[arg(long)]
    rate: Option<f64>,
    /// Seed of bodies and of moments
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What became of one request. Times are in microseconds.
struct Sample {
    /// From when it could have been sent, being due on a free connection, to when it was.
    own_delay: u32,
    /// From when it was due to when it was sent.
    lateness: u32,
    /// From when it was sent to its answer.
    took: u32,
    status: u16,
}

#[derive(Default)]
struct Outcome {
    samples: Vec<Sample>,
    errors: BTreeMap<String, u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Rc::new(Options::parse());
    let requests = std::fs::read_to_string(&options.bodies)?;
    let requests: Rc<Vec<_>> =
        Rc::new(requests.lines().map(|body| request(&options, body)).collect());
    if requests.is_empty() {
        return Err(format!("{}: no bodies", options.bodies.display()).into());
    }
    let began = Instant::now();
    let tasks = tokio::task::LocalSet::new();
    let senders: Vec<_> = (0..options.connections as u64)
        .map(|number| tasks.spawn_local(send(options.clone(), requests.clone(), began, number)))
        .collect();
    tasks.await;
    let mut all = Outcome::default();
    for sender in senders {
        let outcome = sender.await?;
        all.samples.extend(outcome.samples);
        for (error, count) in outcome.errors {
            *all.errors.entry(error).or_default() += count;
        }
    }
    writeln!(io::stdout(), "{}", summary(&options, &all, began.elapsed()))?;
    Ok(())
}

/// A request as it is sent.
fn request(options: &Options, body: &str) -> Vec<u8> {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        options.path,
        options.address,
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends the requests of one connection.
async fn send(
    options: Rc<Options>,
    requests: Rc<Vec<Vec<u8>>>,
    began: Instant,
    number: u64,
) -> Outcome {
    let mut generator = StdRng::seed_from_u64(options.seed ^ (number << 32));
    let rate = options.rate.map(|rate| rate / options.connections as f64);
    let end = began + Duration::from_secs_f64(options.seconds);
    let mut connection = Connection::new(options.address);
    let mut outcome = Outcome::default();
    let (mut due, mut free) = (began, began);
    loop {
        due = match rate {
            Some(rate) => {
                due + Duration::from_secs_f64(-(1.0 - generator.random::<f64>()).ln() / rate)
            }
            None => free,
        };
        // At an overload most are overdue in the end: what could not be sent in time is not sent after it.
        if due.max(free) >= end {
            return outcome;
        }
        // Even a moment that has passed is waited for until the timer's next tick.
        if due > Instant::now() {
            sleep_until(due.into()).await;
        }
        let sent = Instant::now();
        let request = &requests[generator.random_range(0..requests.len())];
        let answer = timeout(PATIENCE, connection.exchange(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let answered = Instant::now();
        match answer {
            Ok(status) => outcome.samples.push(Sample {
                own_delay: micros(sent - due.max(free)),
                lateness: micros(sent - due),
                took: micros(answered - sent),
                status,
            }),
            Err(error) => *outcome.errors.entry(error.to_string()).or_default() += 1,
        }
        free = answered;
    }
}

fn micros(duration: Duration) -> u32 {
    duration.as_micros().try_into().unwrap_or(u32::MAX)
}

/// A connection that is opened when it is needed, and again once it was closed.
struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(1 << 16) }
    }

    /// The status of the answer, which has been read to its end.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        stream.set_nodelay(true)?;
        // A service that refuses a request need not read it: its answer may be there although it took no more.
        let written = stream.write_all(request).await;
        let (status, stays) = self.read_answer(&mut stream).await?;
        self.stream = (stays && written.is_ok()).then_some(stream);
        Ok(status)
    }

    /// Reads an answer: its status, and whether the connection stays open.
    async fn read_answer(&mut self, stream: &mut TcpStream) -> io::Result<(u16, bool)> {
        self.buffer.clear();
        loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "closed without an answer",
                ));
            }
            if let Some(found) = whole_answer(&self.buffer)? {
                return Ok(found);
            }
        }
    }
}

/// The status of the answer in `bytes` and whether its connection stays open, once it is whole.
fn whole_answer(bytes: &[u8]) -> io::Result<Option<(u16, bool)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let head = match answer.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let value = |name: &str| {
        let header = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let length = value("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    let stays = !value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let status = answer.code.expect("a complete head has a status");
    Ok((bytes.len() >= head + length).then_some((status, stays)))
}

fn summary(options: &Options, all: &Outcome, took: Duration) -> Value {
    let mut statuses = BTreeMap::<_, u64>::new();
    for sample in &all.samples {
        *statuses.entry(sample.status).or_default() += 1;
    }
    let (answered, refused): (Vec<_>, Vec<_>) =
        all.samples.iter().partition(|sample| sample.status == 200);
    json!({
        "seconds": options.seconds,
        "connections": options.connections,
        "asked_a_second": options.rate.map(f64::round),
        "sent_a_second": rounded((all.samples.len() as f64) / took.as_secs_f64()),
        "answered_a_second": rounded(answered.len() as f64 / took.as_secs_f64()),
        "status": statuses,
        "errors": all.errors,
        "ms": percentiles(answered.iter().map(|sample| sample.lateness.saturating_add(sample.took))),
        "ms_since_sent": percentiles(answered.iter().map(|sample| sample.took)),
        "ms_refused_since_sent": percentiles(refused.iter().map(|sample| sample.took)),
        "ms_own_delay": percentiles(all.samples.iter().map(|sample| sample.own_delay)),
    })
}

/// Percentiles of microseconds, in milliseconds.
fn percentiles(times: impl Iterator<Item = u32>) -> Value {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        return Value::Null;
    };
    let at = |share: f64| f64::from(times[(share * last as f64) as usize]) / 1e3;
    json!({"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": at(1.0)})
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
