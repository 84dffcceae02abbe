//! Zones over HTTP.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use roles::control::Control;
use roles::view::{Zone, ZoneCheck, ZoneFile, ZonePush, Zones};

use super::answer::Answer;
use super::messages::who;
use crate::api::{ZoneCheckQuery, ZoneFileQuery, ZonePushQuery};

/// What stands below `/api/v1/zones`.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/zones", get(list))
        .route("/zones/{name}", get(show))
        .route("/zones/{name}/file", get(file))
        .route("/zones/{name}/push", get(plan).post(push))
        .route("/zones/{name}/check", get(check))
}

/// `GET /api/v1/zones`
async fn list(State(control): State<Control>) -> Json<Zones> {
    Json(control.zones())
}

/// `GET /api/v1/zones/{name}`
async fn show(State(control): State<Control>, Path(name): Path<String>) -> Answer<Zone> {
    Ok(Json(control.zone(&name)?))
}

/// `GET /api/v1/zones/{name}/file?now=true`
async fn file(
    State(control): State<Control>,
    Path(name): Path<String>,
    query: Result<Query<ZoneFileQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<ZoneFile> {
    let Query(ZoneFileQuery { now }) = query?;
    Ok(Json(control.zone_file(&name, now)?))
}

/// `GET /api/v1/zones/{name}/push`: what would be written.
async fn plan(
    State(control): State<Control>,
    Path(name): Path<String>,
    query: Result<Query<ZonePushQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Answer<ZonePush> {
    let Query(ZonePushQuery { overwrite }) = query?;
    Ok(Json(control.zone_push(&name, overwrite, true, &who(&headers)).await?))
}

/// `POST /api/v1/zones/{name}/push`
async fn push(
    State(control): State<Control>,
    Path(name): Path<String>,
    query: Result<Query<ZonePushQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Answer<ZonePush> {
    let Query(ZonePushQuery { overwrite }) = query?;
    Ok(Json(control.zone_push(&name, overwrite, false, &who(&headers)).await?))
}

/// `GET /api/v1/zones/{name}/check?server=A,B&resolver=C`
async fn check(
    State(control): State<Control>,
    Path(name): Path<String>,
    query: Result<Query<ZoneCheckQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<ZoneCheck> {
    let Query(ZoneCheckQuery { server, resolver }) = query?;
    let list = |text: Option<String>| -> Vec<String> {
        text.iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(String::from)
            .collect()
    };
    Ok(Json(control.zone_check(&name, &list(server), &list(resolver)).await?))
}
