//! Whatever a client sends, the service answers it, and never by a failure of its own.
//!
//! The first byte chooses a path, the second headers, the rest is the body, or the query where there is none.
//! The service is whole: routes, parsers, limits, workers and store, without a network.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../tests/serve/common.rs"]
mod common;

use std::io::Write;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use das_serve::admin::Admin;
use das_serve::artifact::Source;
use das_serve::auth::Keys;
use das_serve::config::Limits;
use das_serve::http::{App, router};
use das_serve::metrics::Metrics;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use tower::ServiceExt;

use common::{Fixture, Running};

/// Every path that reads something of its client's.
const PATHS: [&str; 20] = [
    "/v1/lookup",
    "/v1/encode",
    "/v1/upsert",
    "/v1/items",
    "/v1/neighbours",
    "/v1/retrieve",
    "/v2/models/item/infer",
    "/v2/models/user/versions/1/infer",
    "/admin/experiment",
    "/das.v1.Das/Lookup",
    "/das.v1.Das/Encode",
    "/das.v1.Das/Upsert",
    "/das.v1.Das/Items",
    "/das.v1.Das/Neighbours",
    "/das.v1.Das/Retrieve",
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelReady",
    "GET /v1/items?",
    "GET /?",
    "GET /v2/models/",
];

struct Fuzzed {
    running: Running,
    router: Router,
}

fn fuzzed() -> &'static Fuzzed {
    static FUZZED: OnceLock<Fuzzed> = OnceLock::new();
    FUZZED.get_or_init(|| {
        let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
        let running = Running::with(&Fixture::default(), None, limits);
        let live = Source { folder: running.live(), model: None };
        let admin = Admin::new(running.service.clone(), Metrics::default(), live, None);
        let app = Arc::new(App::new(running.service.clone(), Arc::new(admin), Keys::default()));
        let router = router(app.clone()).merge(das_serve::grpc::routes(app));
        Fuzzed { running, router }
    })
}

/// The request that the bytes stand for; none where they make no URI.
fn request(data: &[u8]) -> Option<Request<Body>> {
    let (&[path, headers], rest) = data.split_first_chunk::<2>()?;
    let path = PATHS[path as usize % PATHS.len()];
    if let Some(path) = path.strip_prefix("GET ") {
        let uri = format!("{path}{}", std::str::from_utf8(rest).ok()?);
        return Request::get(uri).body(Body::empty()).ok();
    }
    let request = Request::post(path);
    if path.starts_with("/v1") || path.starts_with("/v2") || path.starts_with("/admin") {
        return match headers % 4 {
            // Bytes that claim to be packed, and bytes that are.
            0 => request.header(header::CONTENT_ENCODING, "gzip").body(rest.to_vec().into()),
            1 => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(rest).ok()?;
                request.header(header::CONTENT_ENCODING, "gzip").body(packed.finish().ok()?.into())
            }
            _ => request.body(rest.to_vec().into()),
        }
        .ok();
    }
    // A message with the length that it has, or whatever the bytes say.
    let body = if headers % 4 == 0 {
        rest.to_vec()
    } else {
        [&[0], (rest.len() as u32).to_be_bytes().as_slice(), rest].concat()
    };
    let request = request.header(header::CONTENT_TYPE, "application/grpc");
    request.header(header::TE, "trailers").body(body.into()).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else { return };
    let Fuzzed { running, router } = fuzzed();
    let uri = request.uri().clone();
    running.runtime.block_on(async {
        let answer = router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap();
        let said = [body.trailers(), Some(&head.headers)].into_iter().flatten();
        let said: Vec<String> = said
            .filter_map(|headers| headers.get("grpc-message")?.to_str().ok())
            .map(|message| message.replace("%20", " "))
            .collect();
        let body = body.to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert_ne!(head.status, StatusCode::INTERNAL_SERVER_ERROR, "{uri}: {text}");
        // The status alone does not tell: tonic says INTERNAL of bytes that are no message, too.
        assert!(!said.iter().any(|message| message.contains("log says more")), "{uri}: {said:?}");
        if head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{uri}: {text}");
        }
    });
});
