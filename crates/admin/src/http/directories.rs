//! LDAP directories over HTTP.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use roles::control::{Control, DirectoryVerb};
use roles::view::Directory;

use super::answer::{Answer, Failure};
use super::messages::who;
use crate::api::Directories;

/// What stands below `/api/v1/directories`.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/directories", get(list))
        .route("/directories/{name}", get(show))
        .route("/directories/{name}/{verb}", post(verb))
}

/// `GET /api/v1/directories`
async fn list(State(control): State<Control>) -> Answer<Directories> {
    Ok(Json(Directories { directories: control.directories() }))
}

/// `GET /api/v1/directories/{name}`
async fn show(State(control): State<Control>, Path(name): Path<String>) -> Answer<Directory> {
    Ok(Json(control.directory(&name)?))
}

/// `POST /api/v1/directories/{name}/{sync, accept}`
async fn verb(
    State(control): State<Control>,
    Path((name, verb)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Directory> {
    let verb = match verb.as_str() {
        "sync" => DirectoryVerb::Sync,
        "accept" => DirectoryVerb::Accept,
        other => {
            let error = format!("'{other}' is no verb for a directory");
            return Err(Failure::new(StatusCode::NOT_FOUND, error, "use sync or accept"));
        }
    };
    Ok(Json(control.directory_verb(&name, verb, &who(&headers))?))
}
