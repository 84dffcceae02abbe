//! Virtual addresses over HTTP.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use roles::control::Control;

use super::answer::Answer;
use super::audit::Note;
use super::messages::who;
use crate::api::{Done, MoveAddress, VirtualAddresses};

/// All about virtual addresses.
pub fn routes() -> Router<Control> {
    Router::new().route("/virtual-addresses", get(list)).route("/virtual-addresses/{name}/move", post(move_it))
}

/// `GET /api/v1/virtual-addresses`
async fn list(State(control): State<Control>) -> Answer<VirtualAddresses> {
    Ok(Json(VirtualAddresses { virtual_addresses: control.virtual_addresses() }))
}

/// `POST /api/v1/virtual-addresses/{name}/move`: answers when it has moved.
async fn move_it(
    State(control): State<Control>,
    Path(name): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<MoveAddress>, JsonRejection>,
) -> Answer<Done> {
    let (Json(asked), who) = (body?, who(&headers));
    note.before(control.virtual_address_holder(&name));
    let done = control.move_virtual_address(&name, asked.to, &who).await?;
    note.after(done.clone());
    Ok(Json(Done { done }))
}
