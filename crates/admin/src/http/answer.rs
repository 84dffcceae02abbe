//! Owns the forms of answers: JSON, and errors that say what to do.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use roles::control::{Refusal, RefusalKind};
use tokio::task::spawn_blocking;

use crate::api;

/// An error as the API gives it.
pub struct Failure(StatusCode, api::Error);

/// What an answer that is an error says, for the audit log.
#[derive(Clone)]
pub struct Said(pub String);

/// What a handler gives.
pub type Answer<T> = Result<Json<T>, Failure>;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let said = Said(format!("{}; {}", self.1.error, self.1.what_to_do));
        let mut response = (self.0, Json(self.1)).into_response();
        response.extensions_mut().insert(said);
        response
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let status = match refusal.kind {
            RefusalKind::Bad => StatusCode::BAD_REQUEST,
            RefusalKind::Missing => StatusCode::NOT_FOUND,
            RefusalKind::Busy => StatusCode::CONFLICT,
            RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure(status, refusal.into())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Failure {
        Failure::new(rejection.status(), rejection.body_text(), "look at the words behind the '?'")
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Failure {
        Failure::new(
            rejection.status(),
            rejection.body_text(),
            "send a JSON object with Content-Type: application/json",
        )
    }
}

impl Failure {
    /// An error that no verb of the node gave.
    pub fn new(status: StatusCode, error: impl Into<String>, what_to_do: &str) -> Failure {
        Failure(status, api::Error { error: error.into(), what_to_do: what_to_do.into() })
    }
}

/// Runs `ask` where blocking is allowed.
pub async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    match spawn_blocking(ask).await {
        Ok(answer) => answer.map_err(Failure::from),
        // A panic ends the process before this is seen; what is left is a runtime that shuts down.
        Err(_) => {
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping", "ask again after its start"))
        }
    }
}

/// A path that is none.
pub async fn no_such_path(uri: Uri) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}", uri.path()),
        "the API is below /api/v1, the page is /",
    )
}

/// A method that a path does not have.
pub async fn no_such_method(uri: Uri) -> Failure {
    let error = format!("{} does not take this method", uri.path());
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, error, "GET reads, POST changes")
}
