//! The service over HTTP, in JSON.

mod admin;
mod answer;
mod body;
mod health;
mod inference;
mod openapi;
mod v1;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Version};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::body::{Arrived, Memory};
use crate::admin::Admin;
use crate::auth::{Access, Keys};
use crate::error::{Kind, Refusal};
use crate::pressure::{LetIn, Pressure, is_dear};
use crate::service::{Call, Service};
use crate::trace::Remote;

pub use openapi::DOCUMENT as OPENAPI;
pub(crate) use v1::parse_codes;

/// What a client names its user by, where the body does not.
const USER_HEADER: &str = "x-das-user";
/// How many milliseconds a client waits.
const TIMEOUT_HEADER: &str = "x-das-timeout-ms";
/// Another way to send a key than `authorization: Bearer`.
const KEY_HEADER: &str = "x-api-key";

/// Why a request is refused that would be answered at another time.
const FLOOD: &str = "more requests arrive than can be answered; try again later";

/// What every connection shares.
#[derive(Debug)]
pub struct App {
    /// What answers.
    pub service: Arc<Service>,
    /// What changes it.
    pub admin: Arc<Admin>,
    /// Who may.
    pub keys: Keys,
    /// Places for requests that are worked on: those that ask, and those that change something, so that neither
    /// waits for the other.
    pub admission: [Semaphore; 2],
    /// Bytes that bodies may take, all together.
    pub memory: Semaphore,
    /// Connections that are open.
    pub connections: AtomicUsize,
    /// Whether the service is about to stop: it says that it is not ready, and answers who comes all the same.
    pub leaving: AtomicBool,
    /// Whether it stops: it answers what it admitted, and nothing else.
    pub stopping: AtomicBool,
    /// Whether more arrives than can be answered.
    pub pressure: Pressure,
}

/// What a request holds while it is worked on.
pub(crate) struct Admitted<'a> {
    _place: SemaphorePermit<'a>,
    _let_in: Option<LetIn<'a>>,
    _memory: Memory<'a>,
}

impl App {
    /// Shares a service; its limits say how many requests are worked on at a time.
    pub fn new(service: Arc<Service>, admin: Arc<Admin>, keys: Keys) -> App {
        let memory = Semaphore::new(service.limits().bodies_bytes);
        let admission = [(); 2].map(|()| Semaphore::new(service.limits().requests));
        App {
            service,
            admin,
            keys,
            admission,
            memory,
            connections: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            pressure: Pressure::default(),
        }
    }

    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.leaving.load(Ordering::Relaxed)
    }

    /// Refuses a request whose key does not open what it asks for.
    pub(crate) fn authorize(&self, headers: &HeaderMap, access: Access) -> Result<(), Refusal> {
        self.counted(self.keys.check(key_of(headers).as_deref(), access))
    }

    /// Reads the body of a request and finds a place for it, in this order: who sends slowly keeps no place from
    /// others. What could not be answered now is refused before its body is read.
    pub(crate) async fn admit(
        &self,
        access: Access,
        request: Request,
    ) -> Result<(Request, Admitted<'_>), Refusal> {
        let dear = is_dear(request.uri().path());
        if let Err(refusal) = self.welcome(access, dear) {
            // Over HTTP/1 a body that was never read would cost the client its connection.
            if request.version() < Version::HTTP_2 {
                body::discard(request.into_body()).await;
            }
            return Err(refusal);
        }
        let (head, body) = request.into_parts();
        let arrived = body::arrive(body, self.service.limits(), &self.memory).await;
        let Arrived { bytes, memory } = self.counted(arrived)?;
        let let_in = if dear { Some(self.let_in(access)?) } else { None };
        let admitted = Admitted { _place: self.place(access)?, _let_in: let_in, _memory: memory };
        Ok((Request::from_parts(head, bytes.into()), admitted))
    }

    fn welcome(&self, access: Access, dear: bool) -> Result<(), Refusal> {
        if self.stopping.load(Ordering::Relaxed) {
            return self.counted(Err(Refusal::stopping()));
        }
        if dear && self.pressure.refuses(access) {
            return self.counted(Err(Refusal::overloaded(FLOOD)));
        }
        self.place(access).map(drop)
    }

    /// Lets in a request that costs many times its refusal, unless others are worked on already that are as many as
    /// may be in a flood.
    fn let_in(&self, access: Access) -> Result<LetIn<'_>, Refusal> {
        self.counted(self.pressure.let_in(access).ok_or_else(|| Refusal::overloaded(FLOOD)))
    }

    /// A place to work on a request; refused at once if there is none: what waits longer than its client
    /// does is work for nobody.
    fn place(&self, access: Access) -> Result<SemaphorePermit<'_>, Refusal> {
        let message = "too many requests are being worked on; try again later";
        let place = self.admission[access as usize].try_acquire();
        self.counted(place.map_err(|_| Refusal::overloaded(message)))
    }

    /// Counts a refusal that comes before a request is understood.
    pub(crate) fn counted<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        result.inspect_err(|refusal| self.service.metrics().refused(refusal.kind.name()))
    }

    /// User and deadline of a request, by its headers.
    fn call<'a>(&self, headers: &'a HeaderMap) -> Result<Call<'a>, Refusal> {
        let limits = self.service.limits();
        let timeout = match headers.get(TIMEOUT_HEADER) {
            None => limits.timeout,
            Some(value) => {
                let milliseconds = value.to_str().ok().and_then(|value| value.parse().ok());
                let milliseconds = milliseconds.filter(|&milliseconds| milliseconds > 0);
                Duration::from_millis(milliseconds.ok_or_else(|| {
                    Refusal::invalid(format!("header {TIMEOUT_HEADER}: expected milliseconds"))
                })?)
            }
        };
        let user = headers.get(USER_HEADER).map(|value| value.to_str()).transpose();
        let user = user.map_err(|_| {
            Refusal::invalid(format!("header {USER_HEADER}: expected visible ASCII"))
        })?;
        let deadline = Instant::now() + timeout.min(limits.max_timeout);
        let trace = Remote::of(headers);
        Ok(Call { user, deadline, transport: "http", version: None, trace })
    }

    /// How this service asks itself.
    pub(crate) fn internal_call(&self) -> Call<'static> {
        let deadline = Instant::now() + self.service.limits().timeout;
        let trace = Remote::default();
        Call { user: None, deadline, transport: "page", version: None, trace }
    }
}

/// The key that a request comes with: a bearer's, a header of its own, or the password of a browser.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header(AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
    let key = match authorization {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.to_string()),
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => password(pair),
        _ => None,
    };
    key.or_else(|| header(KEY_HEADER).map(str::to_string))
}

fn password(pair: &str) -> Option<String> {
    let pair = String::from_utf8(BASE64_STANDARD.decode(pair.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_string())
}

/// All paths.
pub fn router(app: Arc<App>) -> Router {
    let (reader, changer) = ((app.clone(), Access::Read), (app.clone(), Access::Admin));
    let reading = Router::new()
        .route("/v1/lookup", post(v1::lookup))
        .route("/v1/encode", post(v1::encode))
        .route("/v1/items", get(v1::items).post(v1::items_posted))
        .route("/v1/neighbours", post(v1::neighbours))
        .route("/v1/retrieve", post(v1::retrieve))
        .route("/v1/artifact", get(v1::artifact))
        .route_layer(middleware::from_fn_with_state(reader.clone(), admit))
        .route_layer(middleware::from_fn_with_state(reader.clone(), authorize));
    let inferring = Router::new()
        .route("/v2/models/{model}/infer", post(inference::infer))
        .route("/v2/models/{model}/versions/{version}/infer", post(inference::infer_version))
        .route_layer(middleware::from_fn_with_state(reader.clone(), admit))
        .route_layer(middleware::from_fn_with_state(reader.clone(), authorize))
        .merge(describing())
        .method_not_allowed_fallback(answer::no_such_method);
    let changing = Router::new()
        .route("/v1/upsert", post(v1::upsert))
        .route_layer(middleware::from_fn_with_state(changer.clone(), admit))
        .route("/v1/upserts.parquet", get(admin::export))
        .route("/admin/reload", post(admin::reload))
        .route("/admin/rollback", post(admin::roll_back))
        .route("/admin/experiment", post(admin::experiment))
        .route_layer(middleware::from_fn_with_state(changer, authorize));
    let browsing = Router::new()
        .route("/", get(crate::page::page))
        .route_layer(middleware::from_fn_with_state(reader.clone(), authorize));
    let open = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document));
    Router::new()
        .merge(reading)
        .merge(inferring.layer(middleware::map_response(async |response: Response| {
            answer::as_inference(response)
        })))
        .merge(changing)
        .merge(browsing)
        .merge(open)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        // Bodies have arrived by then, within limits of their own.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

/// What the Open Inference Protocol tells everybody.
fn describing() -> Router<Arc<App>> {
    Router::new()
        .route("/v2", get(inference::server))
        .route("/v2/health/live", get(inference::live))
        .route("/v2/health/ready", get(inference::ready))
        .route("/v2/models/{model}", get(inference::model))
        .route("/v2/models/{model}/ready", get(inference::model_ready))
        .route("/v2/models/{model}/versions/{version}", get(inference::model_version))
        .route("/v2/models/{model}/versions/{version}/ready", get(inference::version_ready))
}

/// Checks the key of a request before anything else.
async fn authorize(
    State((app, access)): State<(Arc<App>, Access)>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    app.authorize(request.headers(), access)?;
    if access == Access::Admin && *request.method() != Method::GET {
        app.counted(not_of_another_site(&request))?;
    }
    Ok(next.run(request).await)
}

/// Refuses what a browser sends on behalf of another site: it would send the key that it has stored, too.
pub(crate) fn not_of_another_site(request: &Request) -> Result<(), Refusal> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let own = match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
        (None, Some(origin)) => {
            let authority = request.uri().authority().map(|authority| authority.as_str());
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == authority.or(header("host"))
        }
    };
    if own {
        return Ok(());
    }
    Err(Refusal::new(Kind::Forbidden, "a page of another site may not change what is served"))
}

/// Has a request answered that there is a place for.
async fn admit(
    State((app, access)): State<(Arc<App>, Access)>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let (request, _admitted) = app.admit(access, request).await?;
    Ok(next.run(request).await)
}
