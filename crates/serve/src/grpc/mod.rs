//! The service over gRPC: the same methods and limits as over HTTP.

mod convert;
mod inference;
/// Messages and stubs that were made of the files in `proto/`; a test makes them again.
#[allow(missing_docs, clippy::all, unreachable_pub, unused_qualifications)]
#[rustfmt::skip]
pub mod stubs {
    pub mod das_v1;
    pub mod inference;
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::middleware::{self, Next};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

use crate::auth::Access;
use crate::error::{Kind, Refusal};
use crate::http::{App, not_of_another_site};
use crate::service::{Call, Encode, Items, Lookup, Method, Neighbours, Retrieve, Upsert};
use crate::trace::Remote;
use convert::{Answer, Ask};
use stubs::das_v1;
use stubs::das_v1::das_server::{Das, DasServer};
use stubs::inference::grpc_inference_service_server::GrpcInferenceServiceServer;

/// What answers over gRPC.
#[derive(Clone, Debug)]
pub struct Grpc(Arc<App>);

/// The gRPC service, to be merged with the paths of HTTP.
pub fn routes(app: Arc<App>) -> axum::Router {
    let limits = app.service.limits();
    let (most, largest) = (limits.body_bytes, limits.unpacked_bytes);
    let grpc = Grpc(app.clone());
    let das = DasServer::new(grpc.clone())
        .max_decoding_message_size(most)
        .max_encoding_message_size(largest);
    let inference = GrpcInferenceServiceServer::new(grpc)
        .max_decoding_message_size(most)
        .max_encoding_message_size(largest);
    axum::Router::new()
        .route_service("/das.v1.Das/{*method}", das)
        .route_service("/inference.GRPCInferenceService/{*method}", inference)
        .layer(middleware::from_fn_with_state(app, admit))
}

/// What a method needs; none where everybody may call it: health and metadata.
fn access_of(path: &str) -> Option<Access> {
    match path.strip_prefix("/das.v1.Das/") {
        Some("Upsert") => Some(Access::Admin),
        Some(_) => Some(Access::Read),
        None if path.ends_with("/ModelInfer") => Some(Access::Read),
        None => None,
    }
}

/// Checks the key of a request, waits for its message and finds a place for it.
async fn admit(
    State(app): State<Arc<App>>,
    request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    let Some(access) = access_of(request.uri().path()) else { return next.run(request).await };
    let own = |()| match access {
        Access::Read => Ok(()),
        Access::Admin => app.counted(not_of_another_site(&request)),
    };
    let admitted = match app.authorize(request.headers(), access).and_then(own) {
        Ok(()) => app.admit(access, request).await,
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Ok((request, _admitted)) => next.run(request).await,
        Err(refusal) => status(refusal).into_http(),
    }
}

impl Grpc {
    /// Answers by a method: converts, asks, and converts back.
    async fn answer<M: Method, Q, A>(&self, request: Request<Q>) -> Result<Response<A>, Status>
    where
        Q: Ask<M>,
        M::Answer: Answer<A>,
    {
        let (metadata, _, message) = request.into_parts();
        let call = self.call(&metadata).map_err(status)?;
        let asked = self.0.counted(message.ask()).map_err(status)?;
        let answer = self.0.service.call::<M>(call, asked).await.map_err(status)?;
        Ok(Response::new(answer.answer()))
    }

    fn call<'a>(&self, metadata: &'a MetadataMap) -> Result<Call<'a>, Refusal> {
        let limits = self.0.service.limits();
        let timeout = match metadata.get("grpc-timeout") {
            None => limits.timeout,
            Some(value) => value.to_str().ok().and_then(parse_timeout).ok_or_else(|| {
                Refusal::invalid("grpc-timeout: expected up to eight digits and a unit")
            })?,
        };
        let user = metadata.get("x-das-user").map(|value| value.to_str()).transpose();
        let user = user.map_err(|_| Refusal::invalid("x-das-user: expected visible ASCII"))?;
        let deadline = Instant::now() + timeout.min(limits.max_timeout);
        let trace = Remote::of(metadata.as_ref());
        Ok(Call { user, deadline, transport: "grpc", version: None, trace })
    }
}

/// A timeout as gRPC writes it, e.g. `250m`.
fn parse_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(number * 3600)),
        'M' => Some(Duration::from_secs(number * 60)),
        'S' => Some(Duration::from_secs(number)),
        'm' => Some(Duration::from_millis(number)),
        'u' => Some(Duration::from_micros(number)),
        'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// A refusal as gRPC says it.
fn status(refusal: Refusal) -> Status {
    let code = match refusal.kind {
        Kind::Invalid | Kind::TooLarge => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::Unsupported => Code::FailedPrecondition,
        Kind::Overloaded(_) => Code::ResourceExhausted,
        Kind::Late => Code::DeadlineExceeded,
        Kind::Stopping => Code::Unavailable,
        Kind::Internal => Code::Internal,
    };
    let mut metadata = MetadataMap::new();
    if let Kind::Overloaded(after) = refusal.kind {
        metadata.insert("retry-after", after.as_secs().max(1).into());
    }
    Status::with_metadata(code, refusal.message, metadata)
}

macro_rules! methods {
    ($($name:ident $method:ident $request:ident $answer:ident,)*) => {
        #[tonic::async_trait]
        impl Das for Grpc {
            $(async fn $name(
                &self,
                request: Request<das_v1::$request>,
            ) -> Result<Response<das_v1::$answer>, Status> {
                self.answer::<$method, _, _>(request).await
            })*

            async fn artifact(
                &self,
                _request: Request<das_v1::ArtifactRequest>,
            ) -> Result<Response<das_v1::ArtifactAnswer>, Status> {
                let info = self.0.service.info().map_err(status)?;
                let json = serde_json::to_string(&info).map_err(Refusal::internal).map_err(status)?;
                Ok(Response::new(das_v1::ArtifactAnswer { json }))
            }
        }
    };
}

methods! {
    lookup Lookup LookupRequest LookupAnswer,
    encode Encode EncodeRequest EncodeAnswer,
    upsert Upsert UpsertRequest UpsertAnswer,
    items Items ItemsRequest ItemsAnswer,
    neighbours Neighbours NeighboursRequest NeighboursAnswer,
    retrieve Retrieve RetrieveRequest RetrieveAnswer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "m", "5", "-5m", "123456789S", "5x", "ä"] {
            assert!(parse_timeout(bad).is_none() || bad == "m", "{bad}");
        }
        assert_eq!(parse_timeout("m"), None);
    }
}
