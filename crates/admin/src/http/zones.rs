//! The zones that a node answers for, over HTTP.

use axum::Json;
use axum::extract::State;
use roles::control::Control;
use roles::view;

/// `GET /api/v1/zones`
pub async fn list(State(control): State<Control>) -> Json<view::Zones> {
    Json(control.zones())
}
