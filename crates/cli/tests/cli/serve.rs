//! `das serve`: the answers of a run, and what survives however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use das_core::Side;
use serde_json::{Value, json};

use crate::common::{Bench, das, fail, sids, succeed_json};

/// How often the service is killed while it gives out IDs, unless `DAS_KILLS` says otherwise.
const KILLS: u64 = 12;

/// A service in a process of its own.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(run: &Path, arguments: &[&str]) -> Serving {
        // Tests beside each other are no flood, however long they wait for a core.
        let patient = ["--thread-wait-ms", "60000"];
        let mut command = das(["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        command.args(patient).arg("--run");
        command.arg(run).args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stderr.take().unwrap());
        output.read_line(&mut line).unwrap();
        let url = line.strip_prefix("serving on ").and_then(|rest| rest.split(';').next());
        let url = url.unwrap_or_else(|| panic!("it said: {line}")).to_string();
        Serving { child, url }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, ureq::Error> {
        post(&self.url, path, body)
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn post(url: &str, path: &str, body: &Value) -> Result<Value, ureq::Error> {
    let mut answer = ureq::post(format!("{url}{path}")).send(body.to_string())?;
    Ok(serde_json::from_slice(&answer.body_mut().read_to_vec()?).unwrap())
}

fn codes_of(row: &Value) -> Vec<u32> {
    row.as_array().unwrap().iter().map(|code| code.as_u64().unwrap() as u32).collect()
}

#[test]
fn a_run_is_looked_up_and_texts_have_its_codes() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &["data.item_text={title}"]);
    let serving = Serving::start(&bench.path("run"), &[]);
    let known = sids(&artifact, Side::Item);
    let das_core::EntityIds::Int(ids) = &known.ids else { panic!("integer ids") };
    let found = serving.post("/v1/lookup", &json!({"ids": ids})).unwrap();
    for (row, found) in found["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(codes_of(&found["codes"]), known.table.row(row));
    }
    let titles = bench.market.items.column("title").unwrap();
    let texts: Vec<String> = (0..ids.len()).map(|row| titles.first(row).to_string()).collect();
    let found = serving.post("/v1/encode", &json!({"texts": texts})).unwrap();
    let levels = known.table.layout().num_levels();
    for (row, found) in found["codes"].as_array().unwrap().iter().enumerate() {
        assert_eq!(codes_of(found), known.table.prefix(row, levels), "item {row}");
    }
}

#[test]
fn it_ends_well_when_it_is_asked_to() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    for signal in ["-TERM", "-INT"] {
        let mut serving = Serving::start(&bench.path("run"), &[]);
        serving.signal(signal);
        assert!(serving.child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn killed_at_any_point_it_keeps_every_id_that_it_gave_out() {
    let bench = Bench::new();
    bench.give_embeddings("data");
    let artifact = bench.train("data", "run", &[]);
    let digits = sids(&artifact, Side::Item).table.layout().num_digits();
    let next = AtomicI64::new(1_000_000);
    let given: Mutex<BTreeMap<i64, Vec<u32>>> = Mutex::default();
    let kills = std::env::var("DAS_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    for kill in 0..kills {
        let serving = Serving::start(&bench.path("run"), &["--watch", "0"]);
        let until = Instant::now() + Duration::from_millis(20 + 37 * (kill % KILLS) + kill);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    // Until the service is gone.
                    loop {
                        let first = next.fetch_add(5, Ordering::Relaxed);
                        let ids: Vec<i64> = (first..first + 5).collect();
                        let vectors: Vec<[f32; 6]> = ids.iter().map(|id| content(id % 7)).collect();
                        let body = json!({"ids": ids, "vectors": vectors});
                        let Ok(answer) = post(&serving.url, "/v1/upsert", &body) else { return };
                        let mut given = given.lock().unwrap();
                        for (id, row) in ids.iter().zip(answer["results"].as_array().unwrap()) {
                            assert_eq!(given.insert(*id, codes_of(&row["codes"])), None);
                        }
                    }
                });
            }
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            serving.signal("-KILL");
        });
    }
    let given = given.into_inner().unwrap();
    assert!(given.len() > 100, "{}", given.len());
    let different: BTreeSet<&Vec<u32>> = given.values().collect();
    assert_eq!(different.len(), given.len(), "an ID was given out twice");
    assert!(given.values().all(|codes| codes.len() == digits));
    let serving = Serving::start(&bench.path("run"), &[]);
    let ids: Vec<&i64> = given.keys().collect();
    for ids in ids.chunks(5000) {
        let found = serving.post("/v1/lookup", &json!({"ids": ids})).unwrap();
        for (id, row) in ids.iter().zip(found["results"].as_array().unwrap()) {
            assert_eq!(codes_of(&row["codes"]), given[*id], "item {id}");
        }
    }
}

#[test]
fn what_is_published_into_the_folder_is_served_next() {
    let bench = Bench::new();
    bench.train("data", "first", &[]);
    bench.train("data", "next", &["seed=9"]);
    let publish = |run: &str| {
        let mut command = das(["publish", "--run"]);
        command.arg(bench.path(run)).arg("--to").arg(bench.path("served"));
        succeed_json(&mut command)["id_space"].clone()
    };
    let first = publish("first");
    let serving = Serving::start(&bench.path("served"), &["--watch", "0.05"]);
    let space = || serving.post("/v1/lookup", &json!({"ids": [0]})).unwrap()["id_space"].clone();
    assert_eq!(space(), first);
    let next = publish("next");
    assert_ne!(next, first);
    let until = Instant::now() + Duration::from_secs(30);
    while space() != next {
        assert!(Instant::now() < until, "it still serves {first}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut elsewhere = das(["publish", "--run"]);
    elsewhere.arg(bench.path("first")).arg("--to").arg(bench.path("data"));
    fail(&mut elsewhere, 1, &["data", "not replaced"]);
}

/// Content of one of a few kinds, so that many entities have the same learned codes.
fn content(kind: i64) -> [f32; 6] {
    std::array::from_fn(|at| ((kind * 6 + at as i64) as f32 * 0.7).sin())
}

#[test]
fn wrong_calls_are_refused_before_anything_is_served() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let run = bench.path("run");
    let serve = |arguments: &[&str]| {
        let mut command = das(["serve", "--log", "off", "--listen", "127.0.0.1:0", "--run"]);
        command.arg(&run).args(arguments);
        command
    };
    fail(&mut serve(&["--requests", "0"]), 2, &["--requests 0: expected at least 1"]);
    fail(&mut serve(&["--watch=-1"]), 2, &["--watch -1"]);
    fail(&mut serve(&["--share", "0.5"]), 2, &["--second"]);
    fail(&mut serve(&["--tls-cert", "x.pem"]), 2, &["--tls-key"]);
    fail(&mut serve(&["--keys", "none.txt"]), 1, &["none.txt"]);
    fail(&mut serve(&["--second", "none"]), 1, &["none"]);
    let mut loud = das(["serve", "--log", "das_serve=loud", "--run"]);
    fail(loud.arg(&run), 2, &["--log das_serve=loud"]);
    let mut everywhere = das(["serve", "--log", "off", "--listen", "0.0.0.0:0", "--run"]);
    fail(everywhere.arg(&run), 1, &["give API keys"]);
    let mut nothing = das(["serve", "--log", "off", "--listen", "127.0.0.1:0", "--run", "nothing"]);
    fail(&mut nothing, 1, &["nothing"]);
}
