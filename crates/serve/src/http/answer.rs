//! Answers and refusals as responses.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::error::{Kind, Refusal};

/// The status of a kind of refusal.
pub(super) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unsupported => StatusCode::CONFLICT,
        Kind::Overloaded(_) => StatusCode::TOO_MANY_REQUESTS,
        Kind::Late => StatusCode::GATEWAY_TIMEOUT,
        Kind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({"error": {"code": self.kind.name(), "message": self.message}});
        let mut response = (status(self.kind), json_body(&error)).into_response();
        if let Kind::Overloaded(after) = self.kind {
            let seconds = after.as_secs().max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.clone());
        if self.kind == Kind::Unauthenticated {
            // A browser asks for a password, which is the key.
            let scheme = HeaderValue::from_static("Basic realm=\"das\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Says errors as the Open Inference Protocol does: a message alone.
pub(super) fn as_inference(mut response: Response) -> Response {
    let Some(Refusal { message, .. }) = response.extensions_mut().remove::<Refusal>() else {
        return response;
    };
    let body = json_body(&json!({"error": message})).into_response().into_body();
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body)
}

/// An answer in JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_body(&self.0).into_response()
    }
}

fn json_body<T: Serialize>(value: &T) -> impl IntoResponse + use<T> {
    let bytes = serde_json::to_vec(value).expect("answers have string keys and plain values");
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes)
}

pub(super) async fn no_such_path(uri: Uri) -> Response {
    let message = format!("no path {}; /openapi.json lists them", uri.path());
    let response = Refusal::new(Kind::NotFound, message).into_response();
    if uri.path().starts_with("/v2/") { as_inference(response) } else { response }
}

pub(super) async fn no_such_method() -> Response {
    let refusal = Refusal::invalid("this path knows other methods; /openapi.json lists them");
    let mut response = refusal.into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
