//! Published models behind an endpoint: described, embedded, trained on, encoded with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use das_core::Side;
use serde_json::{Value, json};

use crate::common::*;

/// A server of both kinds of model that runs as long as the process. It answers a chat with the
/// prompt in capitals and a text with a vector of its letters.
struct Server {
    url: String,
    answered: Arc<AtomicUsize>,
}

/// What a server does with requests after those that it answers.
#[derive(Clone, Copy)]
enum Then {
    Refuse,
    Hang,
}

impl Server {
    /// Refuses every request after so many.
    fn new(most: usize) -> Server {
        Server::limited(most, Then::Refuse)
    }

    fn limited(most: usize, then: Then) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let count = Arc::clone(&count);
                thread::spawn(move || serve(stream.unwrap(), &count, most, then));
            }
        });
        Server { url, answered }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

/// Answers requests of one connection until it closes.
fn serve(mut stream: TcpStream, count: &AtomicUsize, most: usize, then: Then) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((path, body)) = request(&mut reader) {
        let allowed = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
            (count < most).then_some(count + 1)
        });
        let (status, answer) = match allowed {
            Ok(_) => ("200 OK", answer(&path, &body)),
            Err(_) => match then {
                Then::Refuse => ("403 Forbidden", json!({ "error": "enough" })),
                Then::Hang => loop {
                    thread::park();
                },
            },
        };
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok().filter(|&bytes| bytes > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split_whitespace().nth(1)?.to_string();
    Some((path, serde_json::from_slice(&body).unwrap()))
}

fn answer(path: &str, body: &Value) -> Value {
    if path.ends_with("/chat/completions") {
        let messages = body["messages"].as_array().unwrap();
        let prompt = messages.last().unwrap()["content"].as_str().unwrap();
        return json!({ "choices": [{ "message": { "content": prompt.to_uppercase() } }] });
    }
    let vectors = body["input"].as_array().unwrap().iter().enumerate().map(|(index, text)| {
        let mut letters = vec![0.1; 26];
        for byte in text.as_str().unwrap().to_ascii_lowercase().bytes() {
            if byte.is_ascii_lowercase() {
                letters[usize::from(byte - b'a')] += 1.0;
            }
        }
        json!({ "index": index, "embedding": letters })
    });
    json!({ "data": vectors.collect::<Vec<_>>() })
}

/// A command with the small settings, a model's name, and a cache of its own.
fn with_model(bench: &Bench, command: &str, section: &str, overrides: &[&str]) -> Command {
    let mut command = das([command, "--config"]);
    command.arg(bench.path("small.toml"));
    command.args(["--set", &format!("{section}.endpoint.model=letters")]);
    command.arg("--set").arg(format!("embed.cache={}", bench.path("cache").display()));
    command.args(overrides.iter().flat_map(|setting| ["--set", setting]));
    command
}

#[test]
fn from_descriptions_to_ids_of_new_items() {
    let bench = Bench::new();
    let server = Server::new(usize::MAX);
    let data = bench.path("data");
    let mut describe = with_model(&bench, "describe", "describe", &[]);
    describe.arg("--data").arg(&data).args(["--model", &server.url]);
    let written = succeed_json(&mut describe);
    assert_eq!(
        (&written["item"]["model"], &written["item"]["rows"]),
        (&json!("letters"), &json!(ITEMS))
    );
    let texts = das_data::descriptions::read(
        &data.join("item_descriptions.parquet"),
        Side::Item,
        bench.market.items.ids(),
    );
    let title = bench.market.items.column("title").unwrap().first(0).to_uppercase();
    assert!(texts.unwrap()[0].contains(&format!("TITLE: {title}")));

    let described = "data.texts=descriptions";
    let mut embed = with_model(&bench, "embed", "embed", &[described]);
    embed.arg("--data").arg(&data).args(["--model", &server.url]);
    let made = succeed_json(&mut embed);
    assert_eq!(made["item"]["embedder"]["kind"], "endpoint");
    let artifact = bench.train("data", "run", &[described]);
    let address = server.url.strip_prefix("http://").unwrap();
    let leaks: Vec<String> = files_below(&bench.path("run"))
        .into_iter()
        .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(address))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(leaks, Vec::<String>::new(), "the address stays private");

    let encode = |model: Option<&str>, items: &str| {
        let mut encode = das(["encode", "--run"]);
        encode.arg(bench.path("run")).arg("--items").arg(bench.path(items));
        encode.arg("--out").arg(bench.path("ids.parquet"));
        encode.args(model.iter().flat_map(|model| ["--model", model]));
        encode.env("XDG_CACHE_HOME", bench.path("xdg"));
        encode
    };
    let items = "data/items.parquet";
    fail(&mut encode(Some(&server.url), items), 1, &["generated_description"]);
    let mut describe = with_model(&bench, "describe", "describe", &[]);
    describe.arg("--items").arg(bench.path(items)).arg("--out").arg(bench.path("new.parquet"));
    let written = succeed_json(describe.args(["--model", &server.url]));
    assert_eq!(written["item"]["asked"], 0, "the same facts are not asked about again");
    fail(&mut encode(None, "new.parquet"), 1, &["`letters`", "endpoint"]);
    succeed(&mut encode(Some(&server.url), "new.parquet"));
    let again = das_core::sid::files::read_parquet(&bench.path("ids.parquet"), None).unwrap();
    assert_eq!(again.table, sids(&artifact, Side::Item).table);
}

#[test]
fn what_was_answered_before_a_failure_is_kept() {
    let bench = Bench::new();
    let failing = Server::new(20);
    let describe = |server: &Server| {
        let mut describe = with_model(&bench, "describe", "describe", &[]);
        describe.arg("--data").arg(bench.path("data")).args(["--side", "item"]);
        describe.args(["--model", &server.url]);
        describe
    };
    fail(&mut describe(&failing), 1, &["403", "row"]);
    assert!(!bench.path("data/item_descriptions.parquet").exists());
    assert_eq!(failing.answered(), 20);
    let server = Server::new(usize::MAX);
    let written = succeed_json(&mut describe(&server));
    assert_eq!(written["item"]["asked"], json!(server.answered()));
    assert_eq!(server.answered(), ITEMS - 20);
}

/// `das embed` into `out`, four texts a request, one request at a time.
fn embed_by_fours(bench: &Bench, server: &Server, out: &str, cache: &str) -> Command {
    let mut embed = das(["embed", "--config"]);
    embed.arg(bench.path("small.toml")).arg("--data").arg(bench.path("data"));
    embed.arg("--out").arg(bench.path(out)).args(["--model", &server.url]);
    let cache = format!("embed.cache={}", bench.path(cache).display());
    for setting in ["model=letters", "batch_size=4", "concurrency=1"] {
        embed.arg("--set").arg(format!("embed.endpoint.{setting}"));
    }
    embed.args(["--set", &cache]).stdout(Stdio::null());
    embed
}

#[test]
fn a_killed_process_loses_at_most_one_batch() {
    let bench = Bench::new();
    let all = Server::new(usize::MAX);
    succeed(&mut embed_by_fours(&bench, &all, "reference", "own"));

    // A request for one text tells the width of the vectors, then come nine batches.
    let server = Server::limited(10, Then::Hang);
    let mut killed = embed_by_fours(&bench, &server, "vectors", "cache").spawn().unwrap();
    while server.answered() < 10 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended on its own");
        thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let server = Server::new(usize::MAX);
    succeed(&mut embed_by_fours(&bench, &server, "vectors", "cache"));
    let spared = all.answered() - server.answered();
    assert!((8..=9).contains(&spared), "{spared} batches of 9 were kept");
    assert_same_files(&bench.path("vectors"), &bench.path("reference"));
}

#[test]
fn two_processes_share_a_cache() {
    let bench = Bench::new();
    let server = Server::new(usize::MAX);
    let spawn = |out: &str| embed_by_fours(&bench, &server, out, "cache").spawn().unwrap();
    let both = [spawn("a"), spawn("b")];
    for mut process in both {
        assert!(process.wait().unwrap().success());
    }
    assert_same_files(&bench.path("a"), &bench.path("b"));
    let before = server.answered();
    succeed(&mut embed_by_fours(&bench, &server, "c", "cache"));
    assert_eq!(server.answered() - before, 2, "one request a side, for the width");
    assert_same_files(&bench.path("a"), &bench.path("c"));
}

#[test]
fn descriptions_belong_to_what_they_were_written_from() {
    let bench = Bench::new();
    let data = bench.path("data");
    let described = "data.texts=descriptions";
    let embed = |overrides: &[&str]| {
        let mut embed = with_model(&bench, "embed", "embed", overrides);
        embed.arg("--data").arg(&data).arg("--out").arg(bench.path("vectors"));
        embed
    };
    fail(&mut embed(&[described]), 1, &["user_descriptions.parquet", "das describe"]);
    succeed(das(["describe", "--data"]).arg(&data));
    succeed(&mut embed(&[described]));
    let other = ["data.split=global-time", described];
    fail(&mut embed(&other), 1, &["user_descriptions.parquet", "another split"]);
    let facts = ["describe.item_facts={titel}", "describe.model=endpoint"];
    let mut wrong = with_model(&bench, "describe", "describe", &facts);
    wrong.args(["--set", "describe.endpoint.url=http://localhost:1/v1"]).arg("--data").arg(&data);
    fail(&mut wrong, 1, &["titel", "columns present"]);
}

#[test]
fn wrong_calls_are_told() {
    let bench = Bench::new();
    let data = bench.path("data");
    let embed = |model: &str| {
        let mut embed = with_model(&bench, "embed", "embed", &[]);
        embed.arg("--data").arg(&data).args(["--model", model]);
        embed
    };
    fail(&mut embed("http://user:pass@host/v1"), 2, &["embed.endpoint.url", "password"]);
    fail(&mut embed("/no/such/model"), 1, &["/no/such/model"]);
    let mut describe = das(["describe", "--model", "gpt"]);
    fail(describe.arg("--data").arg(&data), 2, &["describe.model", "`gpt`"]);
    fail(&mut das(["describe"]), 2, &["--data, --items and --users"]);
}
