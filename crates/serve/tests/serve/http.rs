//! The service over HTTP, asked by another client.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use das_serve::artifact::Source;
use das_serve::auth::Keys;
use das_serve::config::Limits;
use das_serve::http::OPENAPI;
use das_serve::{ServeConfig, run};
use serde_json::{Value, json};

use crate::common::Fixture;

/// A service that listens.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

impl Listening {
    pub(crate) fn start(change: impl FnOnce(&mut ServeConfig)) -> Listening {
        let folder = tempfile::tempdir().unwrap();
        Fixture::default().publish(&folder.path().join("live"));
        let mut config = config(folder.path());
        change(&mut config);
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let stop = async {
                let _ = stopped.await;
            };
            run(config, stop, |address| tell.send(address).unwrap()).unwrap();
        });
        let address = told.recv_timeout(Duration::from_secs(60)).unwrap();
        Listening { address, stop: Some(stop), thread: Some(thread), folder }
    }

    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut answer = agent().get(self.url(path)).call().unwrap();
        let body = answer.body_mut().read_to_vec().unwrap();
        (answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(path, body.to_string().as_bytes(), &[])
    }

    fn send(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> (u16, Value) {
        let request =
            headers.iter().fold(agent().post(self.url(path)), |request, (name, value)| {
                request.header(*name, *value)
            });
        let mut answer = request.send(body).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn config(folder: &Path) -> ServeConfig {
    ServeConfig {
        live: Source { folder: folder.join("live"), model: None },
        second: None,
        online: folder.join("online.redb"),
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        keys: Keys::default(),
        open: false,
        watch: None,
        compute_threads: 1,
        io_threads: 1,
        // Tests beside each other are no flood, however long they wait for a core.
        limits: Limits { thread_wait: Duration::from_secs(3600), ..Limits::default() },
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

#[test]
fn every_method_answers_in_json() {
    let service = Listening::start(|_| ());
    let (status, answer) = service.post("/v1/lookup", &json!({"ids": [10, "12", 99]}));
    assert_eq!(status, 200);
    assert_eq!(answer["arm"], "live");
    let rows = json!([
        {"id": 10, "codes": [0, 0, 0]},
        {"id": "12", "codes": [0, 0, 1]},
        {"id": 99, "codes": null, "error": "unknown id"},
    ]);
    assert_eq!(answer["results"], rows);
    let (_, answer) = service.post("/v1/encode", &json!({"vectors": [[11, 9], [-9, 11]]}));
    assert_eq!(answer["codes"], json!([[0, 1], [2, 0]]));
    let upsert = json!({"ids": [1], "vectors": [[11, 11]], "side": "user"});
    let (_, answer) = service.post("/v1/upsert", &upsert);
    assert_eq!(answer["results"], json!([{"id": 1, "codes": [0, 0, 2], "status": "new"}]));
    let (_, answer) = service.post("/v1/neighbours", &json!({"id": 10, "limit": 1}));
    assert_eq!(answer["neighbours"], json!([{"id": 12, "codes": [0, 0, 1], "shared": 2}]));
    let (status, page) = service.get("/v1/items?prefix=0,0&limit=1");
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((status, &page["total"], &page["items"][0]["id"]), (200, &json!(2), &json!(10)));
    let (_, page) = service.post("/v1/items", &json!({"prefix": [0, 0], "page": page["next"]}));
    assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!(12), &Value::Null));
    let (status, answer) = service.post("/v1/retrieve", &json!({"histories": [[10]]}));
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("unsupported")));
    let (_, info) = service.get("/v1/artifact");
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["live"]["sides"][0]["published"], 4);
    assert_eq!(info["live"]["sides"][0]["later"], 1);
}

#[test]
fn what_came_later_is_exported_as_a_table_of_ids() {
    let service = Listening::start(|_| ());
    let upsert = json!({"ids": [3, 1], "vectors": [[11, 11], [11, 11]]});
    service.post("/v1/upsert", &upsert);
    let mut answer = agent().get(service.url("/v1/upserts.parquet")).call().unwrap();
    let path = service.folder.path().join("later.parquet");
    std::fs::write(&path, answer.body_mut().read_to_vec().unwrap()).unwrap();
    let sids = das_core::sid::files::read_parquet(&path, None).unwrap();
    assert_eq!(sids.ids, das_core::EntityIds::Int(vec![3, 1]));
    assert_eq!(sids.table.codes(), [0, 0, 2, 0, 0, 3]);
    assert_eq!(sids.table.layout().suffix(), Some(4));
}

#[test]
fn the_inference_protocol_answers() {
    let service = Listening::start(|_| ());
    let json_of = |path: &str| serde_json::from_str::<Value>(&service.get(path).1).unwrap();
    assert_eq!(json_of("/v2/health/live"), json!({"live": true}));
    assert_eq!(json_of("/v2/health/ready"), json!({"ready": true}));
    let model = json_of("/v2/models/item");
    let input = json!([{"name": "content", "datatype": "FP32", "shape": [-1, 2]}]);
    assert_eq!(model["inputs"], input);
    let version = model["versions"][0].as_str().unwrap();
    for data in [json!([11, 9, -9, 11]), json!([[11, 9], [-9, 11]])] {
        let tensor = json!({"name": "content", "shape": [2, 2], "datatype": "FP32", "data": data});
        let request = json!({"id": "q", "inputs": [tensor]});
        let path = format!("/v2/models/item/versions/{version}/infer");
        let (status, answer) = service.post(&path, &request);
        let codes =
            json!([{"name": "codes", "shape": [2, 2], "datatype": "UINT32", "data": [0, 1, 2, 0]}]);
        assert_eq!((status, &answer["id"], &answer["outputs"]), (200, &json!("q"), &codes));
    }
    for (path, status) in [
        ("/v2/models/other", 404),
        ("/v2/models/item/versions/x", 404),
        ("/v2/models/user/ready", 200),
        ("/v2", 200),
    ] {
        assert_eq!(service.get(path).0, status, "{path}");
    }
    let wrong = |tensor: Value| service.post("/v2/models/item/infer", &json!({"inputs": [tensor]}));
    let tensor = json!({"name": "content", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3]});
    assert_eq!(wrong(tensor).0, 400);
    let tensor = json!({"name": "content", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]});
    assert_eq!(wrong(tensor).0, 400);
    let tensor = json!({"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]});
    assert_eq!(wrong(tensor).0, 409);
    // Errors are texts in this protocol.
    let (status, answer) = service.send("/v2/models/item/infer", b"{\"inputs\": [", &[]);
    let said = answer["error"].as_str().unwrap_or_default();
    assert!(status == 400 && said.contains("line 1"), "{answer}");
    assert!(json_of("/v2/none")["error"].is_string());
    assert!(json_of("/v2/models/item/infer")["error"].is_string());
    let answer = json_of("/v2/models/item/versions/x");
    assert_eq!(answer, json!({"error": "version \"x\" is not served"}));
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let service = Listening::start(|config| {
        config.limits.body_bytes = 4096;
        config.limits.unpacked_bytes = 8192;
    });
    let deep = format!("{{\"ids\":{}", "[".repeat(3000));
    let cases: [(&str, &[u8], u16, &str); 11] = [
        ("/v1/lookup", b"{\"ids\": [1", 400, "line 1 column"),
        ("/v1/lookup", b"\xff\xfe", 400, "line 1 column"),
        ("/v1/lookup", b"{\"ids\": [\"\xff\"]}", 400, "line 1 column"),
        ("/v1/lookup", b"{\"ids\": [1.5]}", 400, "expected an id"),
        ("/v1/lookup", b"{\"id\": [1]}", 400, "unknown field `id`"),
        ("/v1/lookup", b"{\"ids\": []}", 400, "at least one"),
        ("/v1/lookup", deep.as_bytes(), 400, "line 1 column"),
        ("/v1/encode", b"{\"vectors\": [[1, NaN]]}", 400, "line 1 column"),
        ("/v1/encode", b"{\"vectors\": [[1, 1e99]]}", 400, "out of range"),
        ("/v1/encode", b"{\"vectors\": [[1, 2, 3]]}", 400, "width 2, got 3"),
        ("/v1/lookup", &[b' '; 5000], 413, "at most 4096 bytes"),
    ];
    for (path, body, status, message) in cases {
        let (found, answer) = service.send(path, body, &[]);
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(found == status && text.contains(message), "{path}: {found} {answer}");
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&[b' '; 1 << 20]).unwrap();
    let gzip = [("content-encoding", "gzip")];
    let (status, answer) = service.send("/v1/lookup", &packed.finish().unwrap(), &gzip);
    assert_eq!(status, 413, "{answer}");
    let (status, _) = service.send("/v1/lookup", b"{}", &[("content-encoding", "br")]);
    assert_eq!(status, 400);
    let (status, _) = service.send("/v1/lookup", b"{\"ids\":[1]}", &[("x-das-timeout-ms", "soon")]);
    assert_eq!(status, 400);
    assert_eq!(service.get("/v1/lookup").0, 405);
    assert_eq!(service.get("/v1/../../etc/passwd").0, 404);
    assert_eq!(service.get("/v1/items?prefix=1,x").0, 400);
    assert_eq!(service.get("/v1/items?prefx=1").0, 400);
}

#[test]
fn packed_bodies_are_read() {
    let service = Listening::start(|_| ());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(b"{\"ids\": [13]}").unwrap();
    let packed = packed.finish().unwrap();
    let (status, answer) = service.send("/v1/lookup", &packed, &[("content-encoding", "gzip")]);
    assert_eq!((status, &answer["results"][0]["codes"]), (200, &json!([3, 2, 0])));
}

#[test]
fn keys_are_asked_for() {
    let service = Listening::start(|config| {
        let access = das_serve::auth::Access::Read;
        config.keys.add_list("read-key-of-some-length", access).unwrap();
        let access = das_serve::auth::Access::Admin;
        config.keys.add_list("admin-key-of-some-length", access).unwrap();
    });
    let body = br#"{"ids": [1]}"#;
    let (reader, admin) = ("Bearer read-key-of-some-length", "Bearer admin-key-of-some-length");
    assert_eq!(service.send("/v1/lookup", body, &[]).0, 401);
    assert_eq!(service.send("/v1/lookup", body, &[("authorization", "Bearer x")]).0, 401);
    assert_eq!(service.send("/v1/lookup", body, &[("authorization", reader)]).0, 200);
    assert_eq!(service.send("/v1/lookup", body, &[("x-api-key", &reader[7..])]).0, 200);
    // printf 'me:read-key-of-some-length' | base64
    let basic = "Basic bWU6cmVhZC1rZXktb2Ytc29tZS1sZW5ndGg=";
    assert_eq!(service.send("/v1/lookup", body, &[("authorization", basic)]).0, 200);
    assert_eq!(service.get("/").0, 401);
    assert_eq!(service.send("/admin/reload", b"", &[("authorization", reader)]).0, 403);
    assert_eq!(service.send("/v1/upsert", b"{}", &[("authorization", reader)]).0, 403);
    assert_eq!(service.send("/admin/reload", b"", &[("authorization", admin)]).0, 200);
    let lower = "bearer admin-key-of-some-length";
    assert_eq!(service.send("/admin/reload", b"", &[("authorization", lower)]).0, 200);
    assert_eq!(service.get("/livez").0, 200);
    // A browser sends the key that it has stored, whichever page asks it to.
    let own = format!("http://{}", service.address);
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://elsewhere.example", 403),
        ("origin", "null", 403),
        ("origin", own.as_str(), 200),
    ] {
        let headers = [("authorization", admin), (name, value)];
        assert_eq!(service.send("/admin/reload", b"", &headers).0, status, "{name}: {value}");
    }
}

#[test]
fn an_address_that_others_reach_needs_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = run(config, std::future::ready(()), |_| ()).unwrap_err().to_string();
    assert!(error.contains("give API keys"), "{error}");
}

#[test]
fn the_document_lists_what_is_served() {
    let service = Listening::start(|_| ());
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{model}", "item").replace("{version}", "none");
        for method in methods.as_object().unwrap().keys() {
            let status = match method.as_str() {
                "get" => service.get(&path).0,
                _ => service.send(&path, b"", &[]).0,
            };
            assert_ne!(status, 405, "{method} {path}");
            assert!(status != 404 || path.contains("/none"), "{method} {path}");
        }
    }
}

#[test]
fn versions_that_appear_are_served() {
    let service = Listening::start(|config| config.watch = Some(Duration::from_millis(20)));
    let version = |service: &Listening| {
        service.post("/v1/lookup", &json!({"ids": [10]})).1["version"].clone()
    };
    let before = version(&service);
    let fixture = Fixture { order: [3, 2, 1, 0], ..Fixture::default() };
    fixture.publish(&service.folder.path().join("live"));
    while version(&service) == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (status, back) = service.send("/admin/rollback", b"", &[]);
    assert_eq!((status, &back["version"]), (200, &before));
    // The folder still holds the other one, which nobody wants back.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(version(&service), before);
}

#[test]
fn the_page_shows_an_entity_and_what_shares_its_prefixes() {
    let service = Listening::start(|_| ());
    let (status, page) = service.get("/");
    assert_eq!(status, 200);
    assert!(page.contains("item, digit 1: 2 of 4 codes in use"), "{page}");
    let (_, page) = service.get("/?side=item&id=12");
    assert!(page.contains("(0, 0, 1)"), "{page}");
    assert!(page.contains("— shared by 3") && page.contains("— shared by 2"), "{page}");
    let (_, page) = service.get("/?prefix=0");
    assert!(page.contains("(0) — 3 items"), "{page}");
    let (_, page) = service.get("/?id=%3Cscript%3E");
    assert!(page.contains("&lt;script&gt; is unknown") && !page.contains("<script"), "{page}");
}

/// Reloads under load, unless `DAS_RELOADS` says otherwise.
const RELOADS: usize = 40;

#[test]
fn under_load_no_request_fails_and_no_answer_mixes_versions() {
    let reloads = std::env::var("DAS_RELOADS").map_or(RELOADS, |text| text.parse().unwrap());
    let service = Listening::start(|_| ());
    // Versions alternate between two fixtures, in each of which item 10 and content (11, 11) have codes of their own.
    let fixtures = [
        Fixture::default(),
        Fixture { order: [3, 2, 1, 0], codes: vec![[3, 0]; 4], ..Fixture::default() },
    ];
    let stop = std::sync::atomic::AtomicBool::new(false);
    let answers: Vec<(Value, Value, Value)> = std::thread::scope(|scope| {
        let ask = |_| {
            scope.spawn(|| {
                let mut answers = Vec::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let (status, answer) = service.post("/v1/lookup", &json!({"ids": [10, 11]}));
                    assert_eq!(status, 200, "{answer}");
                    let codes = answer["results"][0]["codes"].clone();
                    answers.push((answer["version"].clone(), json!("lookup"), codes));
                    let (status, answer) =
                        service.post("/v1/encode", &json!({"vectors": [[11, 11]]}));
                    assert_eq!(status, 200, "{answer}");
                    answers.push((
                        answer["version"].clone(),
                        json!("encode"),
                        answer["codes"].clone(),
                    ));
                }
                answers
            })
        };
        let asking: Vec<_> = (0..3).map(ask).collect();
        for reload in 0..reloads {
            fixtures[(reload + 1) % 2].publish(&service.folder.path().join("live"));
            let (status, answer) = service.send("/admin/reload", b"", &[]);
            assert_eq!((status, &answer["changed"]), (200, &json!(true)), "{answer}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    eprintln!("{reloads} reloads, {} answers", answers.len());
    assert!(answers.len() > reloads);
    let mut said = std::collections::BTreeMap::new();
    for (version, method, codes) in &answers {
        let key = (version.to_string(), method.to_string());
        assert_eq!(said.entry(key).or_insert(codes), &codes, "{version} {method}");
    }
    assert_eq!(said.len(), 4, "{said:?}");
}
