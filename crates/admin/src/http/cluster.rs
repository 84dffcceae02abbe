//! The cluster and its nodes over HTTP.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use roles::control::Control;
use roles::view;

use super::answer::Answer;
use super::audit::Note;
use super::messages::who;
use crate::api::{Done, HandOver, RemoveNode};

/// All about the cluster and its nodes.
pub fn routes() -> Router<Control> {
    Router::new()
        .route("/cluster", get(cluster))
        .route("/nodes", get(nodes))
        .route("/nodes/{node}/drain", post(drain))
        .route("/nodes/{node}/resume", post(resume))
        .route("/nodes/{node}/hand-over", get(handing_over).post(hand_over))
        .route("/nodes/{node}/remove", post(remove))
}

/// `GET /api/v1/cluster`
async fn cluster(State(control): State<Control>) -> Answer<view::Cluster> {
    Ok(Json(control.cluster().await?))
}

/// `GET /api/v1/nodes`
async fn nodes(State(control): State<Control>) -> Answer<view::Nodes> {
    Ok(Json(control.nodes().await))
}

/// `POST /api/v1/nodes/{node}/drain`
async fn drain(
    State(control): State<Control>,
    Path(node): Path<String>,
    headers: HeaderMap,
    note: Note,
) -> Answer<Done> {
    note.before(control.health_of(&node));
    told(&note, control.node_drain(&node, &who(&headers)).await?)
}

/// `POST /api/v1/nodes/{node}/resume`
async fn resume(
    State(control): State<Control>,
    Path(node): Path<String>,
    headers: HeaderMap,
    note: Note,
) -> Answer<Done> {
    note.before(control.health_of(&node));
    told(&note, control.node_resume(&node, &who(&headers)).await?)
}

/// `POST /api/v1/nodes/{node}/hand-over`: begins it.
async fn hand_over(
    State(control): State<Control>,
    Path(node): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<HandOver>, JsonRejection>,
) -> Answer<Done> {
    let (Json(asked), who) = (body?, who(&headers));
    told(&note, control.node_hand_over(&node, asked.to, &who).await?)
}

/// `GET /api/v1/nodes/{node}/hand-over`: how one goes that was begun here.
async fn handing_over(State(control): State<Control>, Path(node): Path<String>) -> Answer<view::HandOver> {
    Ok(Json(control.node_handing_over(&node).await?))
}

/// `POST /api/v1/nodes/{node}/remove`
async fn remove(
    State(control): State<Control>,
    Path(node): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<RemoveNode>, JsonRejection>,
) -> Answer<Done> {
    let (Json(asked), who) = (body?, who(&headers));
    told(&note, control.node_remove(&node, asked.lose_its_mail, &who).await?)
}

fn told(note: &Note, done: String) -> Answer<Done> {
    note.after(done.clone());
    Ok(Json(Done { done }))
}
