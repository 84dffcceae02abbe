//! Services and their members over HTTP.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use roles::control::{Control, MemberOrder};
use roles::view::{MemberDrain, ObjectChanged, Service, Services};
use serde_json::json;

use super::answer::{Answer, Failure};
use super::audit::Note;
use super::messages::who;
use crate::api::OfService;

/// All about them.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/services", get(list))
        .route("/services/{name}", get(show))
        .route("/members/{name}/drain", get(draining))
        .route("/members/{name}/{verb}", post(change))
}

/// `GET /api/v1/services`: with what every balancer says.
async fn list(State(control): State<Control>) -> Json<Services> {
    Json(control.services().await)
}

/// `GET /api/v1/services/{name}`
async fn show(State(control): State<Control>, Path(name): Path<String>) -> Answer<Service> {
    Ok(Json(control.service(&name).await?))
}

/// `GET /api/v1/members/{name}/drain?service=S`: what is left of it, on every balancer.
async fn draining(
    State(control): State<Control>,
    Path(name): Path<String>,
    query: Result<Query<OfService>, QueryRejection>,
) -> Answer<MemberDrain> {
    let Query(OfService { service }) = query?;
    Ok(Json(control.member_draining(&name, service.as_deref()).await?))
}

/// `POST /api/v1/members/{name}/{drain, resume}`: changes the organization document.
async fn change(
    State(control): State<Control>,
    Path((name, verb)): Path<(String, String)>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<MemberOrder>, JsonRejection>,
) -> Answer<ObjectChanged> {
    let Json(mut order) = body?;
    if order.who.is_empty() {
        order.who = who(&headers);
    }
    let changed = match verb.as_str() {
        "drain" => control.member_drain(&name, order).await?,
        "resume" => control.member_resume(&name, order).await?,
        other => {
            let error = format!("'{other}' is no verb for a member");
            return Err(Failure::new(StatusCode::NOT_FOUND, error, "use drain or resume"));
        }
    };
    let version = changed.version.as_ref().map(|version| version.version);
    note.after(json!({ "version": version, "file": changed.file, "difference": changed.difference }));
    Ok(Json(changed))
}
