//! Queues over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use roles::control::{Control, QueueVerb};
use roles::view::Queue;

use super::answer::{Answer, Failure, blocking};
use super::audit::Note;
use super::messages::who;
use crate::api::Queues;

/// `GET /api/v1/queues`
pub async fn list(State(control): State<Control>) -> Answer<Queues> {
    Ok(Json(Queues { queues: control.queues() }))
}

/// `GET /api/v1/queues/{name}`
pub async fn show(State(control): State<Control>, Path(name): Path<String>) -> Answer<Queue> {
    Ok(Json(control.queue(&name)?))
}

/// `POST /api/v1/queues/{name}/{retry, suspend, resume}`
pub async fn verb(
    State(control): State<Control>,
    Path((name, verb)): Path<(String, String)>,
    headers: HeaderMap,
    note: Note,
) -> Answer<Queue> {
    let verb = match verb.as_str() {
        "retry" => QueueVerb::Retry,
        "suspend" => QueueVerb::Suspend,
        "resume" => QueueVerb::Resume,
        other => {
            let error = format!("'{other}' is no verb for a queue");
            return Err(Failure::new(StatusCode::NOT_FOUND, error, "use retry, suspend or resume"));
        }
    };
    let who = who(&headers);
    let shown = |queue: &Queue| format!("{}, {} messages", queue.state, queue.messages);
    let done = move || {
        note.before(shown(&control.queue(&name)?));
        let queue = control.queue_verb(&name, verb, &who)?;
        note.after(shown(&queue));
        Ok(queue)
    };
    Ok(Json(blocking(done).await?))
}
