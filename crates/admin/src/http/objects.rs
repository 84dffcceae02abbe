//! Single objects of the organization document over HTTP.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use roles::control::{Control, ObjectOrder, ObjectTest, ObjectVerb};
use roles::view::{Object, ObjectChanged, Tested};
use serde_json::{Value, json};

use super::answer::{Answer, Failure};
use super::audit::Note;
use super::messages::who;
use crate::api::{DryRun, Kinds, Objects};

/// All below `/org/objects`.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/org/objects", get(kinds))
        .route("/org/objects/{kind}", get(list))
        .route("/org/objects/{kind}/test", post(test))
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
    note: Note,
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
    if !order.name.is_empty() && verb != ObjectVerb::New {
        note.before(control.object(&kind, &order.name).map_or(Value::Null, written));
    }
    let changed = control.object_change(&kind, verb, order, dry_run).await?;
    let version = changed.version.as_ref().map(|version| version.version);
    note.after(json!({ "version": version, "file": changed.file, "difference": changed.difference }));
    Ok(Json(changed))
}

/// `POST /api/v1/org/objects/{kind}/test`: changes nothing.
async fn test(
    State(control): State<Control>,
    Path(kind): Path<String>,
    body: Result<Json<ObjectTest>, JsonRejection>,
) -> Answer<Tested> {
    let Json(asked) = body?;
    Ok(Json(control.object_test(&kind, asked).await?))
}

/// What an object had written.
fn written(object: Object) -> Value {
    let fields = object.fields.into_iter().filter(|field| field.written);
    Value::Object(fields.map(|field| (field.key, field.value)).collect())
}
