//! Messages in custody over HTTP.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use roles::control::{Control, MessageFilter, MessageVerb};
use roles::view::Message;

use super::answer::{Answer, Failure, blocking};
use super::audit::Note;
use crate::api::{self, Done, Messages, Redirect, RemoveQuery};

/// `GET /api/v1/messages`
pub async fn list(
    State(control): State<Control>,
    query: Result<Query<MessageFilter>, QueryRejection>,
) -> Answer<Messages> {
    let Query(filter) = query?;
    let limit = filter.limit();
    let messages = blocking(move || control.messages(&filter)).await?;
    let next = messages.last().filter(|_| messages.len() == limit).map(|message| message.id.clone());
    Ok(Json(Messages { messages, next }))
}

/// `GET /api/v1/messages/{id}`
pub async fn show(State(control): State<Control>, Path(id): Path<String>) -> Answer<Message> {
    Ok(Json(control.message(&id)?))
}

/// `GET /api/v1/messages/{id}/export`
pub async fn export(State(control): State<Control>, Path(id): Path<String>) -> Result<impl IntoResponse, Failure> {
    let bytes = blocking(move || control.export(&id)).await?;
    Ok(([(header::CONTENT_TYPE, "message/rfc822")], bytes))
}

/// `POST /api/v1/messages/{id}/remove?no_dsn=true`
pub async fn remove(
    State(control): State<Control>,
    Path(id): Path<String>,
    query: Result<Query<RemoveQuery>, QueryRejection>,
    headers: HeaderMap,
    note: Note,
) -> Answer<Done> {
    let Query(query) = query?;
    act(control, id, MessageVerb::Remove { tell_sender: !query.no_dsn }, &headers, note).await
}

/// `POST /api/v1/messages/{id}/redirect` with `{"to": "smart-hosts:out"}`
pub async fn redirect(
    State(control): State<Control>,
    Path(id): Path<String>,
    headers: HeaderMap,
    note: Note,
    body: Result<Json<Redirect>, JsonRejection>,
) -> Answer<Done> {
    let Json(Redirect { to }) = body?;
    act(control, id, MessageVerb::Redirect { to }, &headers, note).await
}

/// `POST /api/v1/messages/{id}/{retry, suspend, resume}`
pub async fn verb(
    State(control): State<Control>,
    Path((id, verb)): Path<(String, String)>,
    headers: HeaderMap,
    note: Note,
) -> Answer<Done> {
    let verb = match verb.as_str() {
        "retry" => MessageVerb::Retry,
        "suspend" => MessageVerb::Suspend,
        "resume" => MessageVerb::Resume,
        other => {
            let error = format!("'{other}' is no verb for a message");
            let what = "use retry, suspend, resume, remove, redirect or export";
            return Err(Failure::new(StatusCode::NOT_FOUND, error, what));
        }
    };
    act(control, id, verb, &headers, note).await
}

async fn act(control: Control, id: String, verb: MessageVerb, headers: &HeaderMap, note: Note) -> Answer<Done> {
    let who = who(headers);
    let done = match &verb {
        MessageVerb::Retry => format!("{id} is tried now"),
        MessageVerb::Suspend => format!("{id} is suspended"),
        MessageVerb::Resume => format!("{id} goes on"),
        MessageVerb::Remove { tell_sender: true } => format!("{id} is removed, its sender is told"),
        MessageVerb::Remove { tell_sender: false } => format!("{id} is removed, nobody is told"),
        MessageVerb::Redirect { to } => format!("{id} goes to {to}"),
    };
    note.after(done.clone());
    blocking(move || {
        note.before(shown(&control.message(&id)?));
        control.message_verb(&id, &verb, &who)
    })
    .await?;
    Ok(Json(Done { done }))
}

/// What is noted of a message before something is done to it.
fn shown(message: &Message) -> serde_json::Value {
    let recipients: Vec<_> = message.recipients.iter().take(RECIPIENTS_NOTED_MAX).map(|one| &one.address).collect();
    serde_json::json!({
        "sender": message.sender,
        "recipients": recipients,
        "recipients_in_all": message.recipients.len(),
        "size_bytes": message.size_bytes,
        "accepted": message.accepted,
        "held": message.held,
    })
}

/// Who asks, for the trace: what the client says, for there are no passwords on this port.
pub fn who(headers: &HeaderMap) -> String {
    let said = headers.get(api::WHO).and_then(|value| value.to_str().ok()).unwrap_or("http");
    said.chars().take(WHO_CHARS_MAX).collect()
}

/// Of a message in the audit log.
const RECIPIENTS_NOTED_MAX: usize = 50;
const WHO_CHARS_MAX: usize = 80;
