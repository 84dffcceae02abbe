//! The organization document over HTTP.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use roles::control::{Control, OrgComparison, OrgDraft, OrgProposal, OrgRollback, Refusal};
use roles::view::{OrgApplied, OrgChecked, OrgDifference, OrgText};

use super::answer::Answer;
use super::audit::Note;
use super::messages::who;
use crate::api::{OrgDocument, OrgHistory};

/// All below `/org`: requests may carry a document.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/org", get(show).post(apply))
        .route("/org/validate", post(validate))
        .route("/org/diff", post(diff))
        .route("/org/history", get(history))
        .route("/org/history/{version}", get(version))
        .route("/org/rollback", post(rollback))
        .merge(super::objects::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// `GET /api/v1/org`
async fn show(State(control): State<Control>) -> Answer<OrgDocument> {
    Ok(Json(OrgDocument { document: control.org_text(), state: control.org() }))
}

/// `POST /api/v1/org/validate`
async fn validate(State(control): State<Control>, draft: Result<Json<OrgDraft>, JsonRejection>) -> Answer<OrgChecked> {
    Ok(Json(control.org_validate(draft?.0).await?))
}

/// `POST /api/v1/org/diff`
async fn diff(
    State(control): State<Control>,
    asked: Result<Json<OrgComparison>, JsonRejection>,
) -> Answer<OrgDifference> {
    Ok(Json(control.org_diff(asked?.0).await?))
}

/// `POST /api/v1/org`
async fn apply(
    State(control): State<Control>,
    headers: HeaderMap,
    note: Note,
    asked: Result<Json<OrgProposal>, JsonRejection>,
) -> Answer<OrgApplied> {
    let Json(mut asked) = asked?;
    if asked.who.is_empty() {
        asked.who = who(&headers);
    }
    let base = asked.base;
    told(&note, base, control.org_apply(asked).await?)
}

/// `GET /api/v1/org/history`
async fn history(State(control): State<Control>) -> Answer<OrgHistory> {
    Ok(Json(OrgHistory { versions: control.org_history().await? }))
}

/// `GET /api/v1/org/history/{version}`
async fn version(State(control): State<Control>, Path(version): Path<String>) -> Answer<OrgText> {
    let bad = |_| Refusal::bad(format!("'{version}' is no version"), "GET /api/v1/org/history lists them");
    Ok(Json(control.org_version(version.parse().map_err(bad)?).await?))
}

/// `POST /api/v1/org/rollback`
async fn rollback(
    State(control): State<Control>,
    headers: HeaderMap,
    note: Note,
    asked: Result<Json<OrgRollback>, JsonRejection>,
) -> Answer<OrgApplied> {
    let Json(mut asked) = asked?;
    if asked.who.is_empty() {
        asked.who = who(&headers);
    }
    let base = asked.base;
    told(&note, base, control.org_rollback(asked).await?)
}

fn told(note: &Note, base: u64, applied: OrgApplied) -> Answer<OrgApplied> {
    note.before(format!("version {base}"));
    let after = serde_json::json!({ "version": applied.version.version, "difference": applied.difference });
    note.after(after);
    Ok(Json(applied))
}

/// A document of the largest size that etcd takes, written as JSON, and what stands beside it.
const BODY_BYTES_MAX: usize = 1 << 20;
