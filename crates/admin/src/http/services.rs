//! Services and their members over HTTP.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
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
        .route("/members/{name}/drain", get(draining).post(drain))
        .route("/members/{name}/resume", post(resume))
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

/// `POST /api/v1/members/{name}/drain`: changes the organization document.
async fn drain(
    State(control): State<Control>,
    Path(name): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<MemberOrder>, JsonRejection>,
) -> Answer<ObjectChanged> {
    let order = asked(body, &headers)?;
    told(&note, control.member_drain(&name, order).await?)
}

/// `POST /api/v1/members/{name}/resume`: changes the organization document.
async fn resume(
    State(control): State<Control>,
    Path(name): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<MemberOrder>, JsonRejection>,
) -> Answer<ObjectChanged> {
    let order = asked(body, &headers)?;
    told(&note, control.member_resume(&name, order).await?)
}

fn asked(body: Result<Json<MemberOrder>, JsonRejection>, headers: &HeaderMap) -> Result<MemberOrder, Failure> {
    let Json(mut order) = body?;
    if order.who.is_empty() {
        order.who = who(headers);
    }
    Ok(order)
}

fn told(note: &Note, changed: ObjectChanged) -> Answer<ObjectChanged> {
    let version = changed.version.as_ref().map(|version| version.version);
    note.after(json!({ "version": version, "file": changed.file, "difference": changed.difference }));
    Ok(Json(changed))
}
