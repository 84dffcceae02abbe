//! The restart without a gap over HTTP.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use roles::control::Control;
use roles::view::Restart;

use super::answer::{Answer, blocking};
use super::audit::Note;
use super::messages::who;

/// All about it.
pub fn routes() -> Router<Control> {
    Router::new().route("/restart", get(shown).post(restart))
}

/// `GET /api/v1/restart`: how it goes.
async fn shown(State(control): State<Control>) -> Json<Restart> {
    Json(control.restarting())
}

/// `POST /api/v1/restart`: begins it.
async fn restart(State(control): State<Control>, headers: HeaderMap, note: Note) -> Answer<Restart> {
    let who = who(&headers);
    let begun = blocking(move || control.restart(&who)).await?;
    note.after(begun.stage.clone());
    Ok(Json(begun))
}
