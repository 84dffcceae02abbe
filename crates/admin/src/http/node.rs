//! The node as a whole over HTTP: status, health, metrics, trace, configuration.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use roles::control::{Case, Control, parse_since};
use roles::schema::Document;
use roles::trace::Filter;
use roles::view::{Config, Status};

use super::answer::{Answer, Failure, blocking};
use super::audit::Note;
use super::messages::who;
use crate::api::{Documents, Done, Events, Explained, Ready, TakeOver, TraceQuery};

/// `GET /api/v1/status`
pub async fn status(State(control): State<Control>) -> Answer<Status> {
    Ok(Json(blocking(move || Ok(control.status())).await?))
}

/// `GET /health/live`: the process answers.
pub async fn live() -> &'static str {
    "alive\n"
}

/// `GET /health/ready`: 200 if mail can be taken into custody now, 503 if not.
pub async fn ready(State(control): State<Control>) -> impl IntoResponse {
    let (status, reasons) = match control.ready() {
        Ok(()) => (StatusCode::OK, Vec::new()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, vec![reason.reason().to_string()]),
    };
    (status, Json(Ready { ready: reasons.is_empty(), reasons }))
}

/// `GET /metrics`
pub async fn metrics(State(control): State<Control>) -> Result<impl IntoResponse, Failure> {
    let text = blocking(move || Ok(control.metrics())).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// `GET /api/v1/trace`
pub async fn trace(State(control): State<Control>, query: Result<Query<TraceQuery>, QueryRejection>) -> Answer<Events> {
    let Query(query) = query?;
    let search = move || {
        let since_ms = query.since.as_deref().map(|text| parse_since(text, control.now_ms())).transpose()?;
        let TraceQuery { to, from, id, event, limit, .. } = query;
        control.trace(&Filter { to, from, id, event, since_ms, limit: limit.unwrap_or(0) })
    };
    Ok(Json(Events { events: blocking(search).await? }))
}

/// `GET /api/v1/explain?from=IP&to=IP:PORT&mail=ADDRESS&rcpt=ADDRESS&size=SIZE&user=NAME&server=NAME`
pub async fn explain(State(control): State<Control>, query: Result<Query<Case>, QueryRejection>) -> Answer<Explained> {
    let Query(case) = query?;
    let text = blocking(move || control.explain(&case)).await?;
    Ok(Json(Explained { text }))
}

/// `GET /api/v1/schema/{org, node}`: a JSON Schema of a document.
pub async fn schema(Path(of): Path<String>) -> Answer<serde_json::Value> {
    let of = match of.as_str() {
        "org" => Document::Org,
        "node" => Document::Node,
        other => {
            let error = format!("there is no document '{other}'");
            return Err(Failure::new(StatusCode::NOT_FOUND, error, "use org or node"));
        }
    };
    Ok(Json(roles::schema::schema(of)))
}

/// `GET /api/v1/config`: the documents that say what runs, defaults included.
pub async fn config(State(control): State<Control>) -> Answer<Documents> {
    let (node, org) = control.config_text();
    Ok(Json(Documents { node, org }))
}

/// `GET /api/v1/config/check`: what runs against what is written.
pub async fn check(State(control): State<Control>) -> Answer<Config> {
    Ok(Json(blocking(move || Ok(control.config())).await?))
}

/// `POST /api/v1/config/reload`
pub async fn reload(State(control): State<Control>, note: Note) -> Answer<Config> {
    let reload = move || {
        let before = control.config();
        note.before(format!("loaded {}", before.loaded));
        let config = control.reload()?;
        // What was written and did not run is what runs now.
        note.after(serde_json::json!({ "loaded": config.loaded, "difference": before.difference }));
        Ok(config)
    };
    Ok(Json(blocking(reload).await?))
}

/// `POST /api/v1/journals/{node}/take-over`
pub async fn take_over(
    State(control): State<Control>,
    Path(node): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<TakeOver>, JsonRejection>,
) -> Answer<Done> {
    let (Json(asked), who) = (body?, who(&headers));
    let said = node.clone();
    let messages = blocking(move || control.take_over(&node, asked.force, &who)).await?;
    let done = format!("{messages} messages of {said} are delivered from here; {said} is refused from now on");
    note.after(done.clone());
    Ok(Json(Done { done }))
}
