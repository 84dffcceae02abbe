//! Single objects of the organization document over HTTP.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use roles::control::{Control, ObjectOrder, ObjectVerb};
use roles::view::{Object, ObjectChanged};

use super::answer::{Answer, Failure};
use super::messages::who;
use crate::api::{DryRun, Kinds, Objects};

/// All below `/org/objects`.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/org/objects", get(kinds))
        .route("/org/objects/{kind}", get(list))
        .route("/org/objects/{kind}/{name}", get(show).post(change))
}

/// `GET /api/v1/org/objects`
async fn kinds(State(control): State<Control>) -> Answer<Kinds> {
    Ok(Json(Kinds { kinds: control.object_kinds()? }))
}

/// `GET /api/v1/org/objects/{kind}`
async fn list(State(control): State<Control>, Path(kind): Path<String>) -> Answer<Objects> {
    Ok(Json(Objects { objects: control.objects(&kind)? }))
}

/// `GET /api/v1/org/objects/{kind}/{name}`
async fn show(State(control): State<Control>, Path((kind, name)): Path<(String, String)>) -> Answer<Object> {
    Ok(Json(control.object(&kind, &name)?))
}

/// `POST /api/v1/org/objects/{kind}/{new, set, remove}` with the object's name in the body; with `?dry_run=true` nothing is done.
async fn change(
    State(control): State<Control>,
    Path((kind, verb)): Path<(String, String)>,
    query: Result<Query<DryRun>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Json<ObjectOrder>, JsonRejection>,
) -> Answer<ObjectChanged> {
    let (Query(DryRun { dry_run }), Json(mut order)) = (query?, body?);
    let verb = match verb.as_str() {
        "new" => ObjectVerb::New,
        "set" => ObjectVerb::Set,
        "remove" => ObjectVerb::Remove,
        other => {
            let error = format!("'{other}' is no verb for an object");
            return Err(Failure::new(StatusCode::NOT_FOUND, error, "use new, set, remove or test"));
        }
    };
    if order.who.is_empty() {
        order.who = who(&headers);
    }
    Ok(Json(control.object_change(&kind, verb, order, dry_run).await?))
}
