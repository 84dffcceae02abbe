//! Owns the way of requests through the audit log: whatever is no reading goes through here, so that no verb can be forgotten.
//! Always holds: nothing is done that could not be noted before; the answer goes out when what came of it is noted; an asker who hangs up
//! ends neither the verb nor its line.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use roles::audit::{Deed, Filter, Outcome};
use roles::control::{Control, parse_since};
use serde_json::Value;

use super::answer::{Answer, Failure, Said, blocking};
use super::messages::who;
use super::socket::Bounded;
use crate::api::{AuditQuery, Audited};

/// Both ends of a connection to the API.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    client: SocketAddr,
    server: Option<SocketAddr>,
}

impl Connected<IncomingStream<'_, Bounded>> for Ends {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Ends {
        Ends { client: *stream.remote_addr(), server: stream.io().local_addr() }
    }
}

/// What a verb found and left, for its line. A handler that has something to say takes it as an argument.
#[derive(Clone, Debug, Default)]
pub struct Note(Arc<Mutex<(Value, Value)>>);

impl Note {
    /// What was there before.
    pub fn before(&self, before: impl Into<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = before.into();
    }

    /// What is there now.
    pub fn after(&self, after: impl Into<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = after.into();
    }
}

impl<S: Sync> FromRequestParts<S> for Note {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Note, std::convert::Infallible> {
        Ok(parts.extensions.get::<Note>().cloned().unwrap_or_default())
    }
}

/// `GET /api/v1/audit`
pub async fn search(
    State(control): State<Control>,
    query: Result<Query<AuditQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Audited> {
    let Query(AuditQuery { since, object, verb, who, limit }) = query?;
    let search = move || {
        let since_ms = since.as_deref().map(|text| parse_since(text, control.now_ms())).transpose()?;
        control.audit(&Filter { since_ms, object, verb, who, limit: limit.unwrap_or(0) })
    };
    Ok(Json(Audited { entries: blocking(search).await? }))
}

/// Stands before every route, behind the guard.
pub async fn audit(State(control): State<Control>, request: Request, next: Next) -> Response {
    if !changes(request.method(), request.uri()) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let body = match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => {
            let what = "no request of the API needs more";
            return Failure::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string(), what).into_response();
        }
    };
    let ends = parts.extensions.get::<ConnectInfo<Ends>>().map(|info| info.0);
    let mut deed = deed(parts.uri.path(), &body);
    deed.who = who(&parts.headers);
    deed.from = ends.map(|ends| ends.client.to_string()).unwrap_or_default();
    let noting = control.clone();
    let begun = blocking(move || {
        deed.unix_user = ends.and_then(|ends| noting.unix_user(ends.client, ends.server?));
        noting.audit_begin(&deed)
    });
    let number = match begun.await {
        Ok(number) => number,
        Err(failure) => return failure.into_response(),
    };
    let note = Note::default();
    parts.extensions.insert(note.clone());
    let request = Request::from_parts(parts, Body::from(body));
    let done = tokio::spawn(async move {
        let response = next.run(request).await;
        let outcome = outcome(&response, &note);
        // It fails only when the node is stopping.
        let note = move || {
            control.audit_end(number, &outcome);
            Ok(())
        };
        let _ = blocking(note).await;
        response
    });
    done.await.unwrap_or_else(|_| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping", "ask again after its start")
            .into_response()
    })
}

fn outcome(response: &Response, note: &Note) -> Outcome {
    let (before, after) = note.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let done = response.status().is_success();
    let said = response.extensions().get::<Said>().map(|Said(said)| said.clone());
    let why = (!done).then(|| said.unwrap_or_else(|| response.status().to_string()));
    Outcome { done, why, before, after }
}

/// Everything but reading, and what only compares, checks and tries.
fn changes(method: &Method, uri: &Uri) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let path = uri.path().trim_end_matches('/');
    let tries = ["/org/validate", "/org/diff", "/test"].iter().any(|end| path.ends_with(end));
    let dry = path.contains("/org/objects/")
        && uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"));
    !(reads || tries || dry)
}

/// What a request asks for: `/queues/X/retry` is `queue retry` of X.
fn deed(path: &str, body: &[u8]) -> Deed {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = asked.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
    let (verb, object) = match parts[..] {
        ["org"] => ("org apply".into(), "organization document".into()),
        ["org", "objects", kind, verb] => (format!("org {verb}"), format!("{kind} {name}").trim().to_string()),
        ["org", verb] => (format!("org {verb}"), "organization document".into()),
        ["restart"] => ("restart".into(), "this process".into()),
        ["config", verb] => (verb.to_string(), "organization document".into()),
        [many, object, verb] => (format!("{} {verb}", many.trim_end_matches('s')), object.to_string()),
        _ => (path.to_string(), String::new()),
    };
    bare(&mut asked);
    Deed { verb, object, asked, ..Deed::default() }
}

/// Without secrets, and without what is noted elsewhere: a document's text shows as what differs.
fn bare(asked: &mut Value) {
    match asked {
        Value::Object(fields) => {
            fields.retain(|key, value| {
                let empty = value.as_str().is_some_and(str::is_empty)
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(|fields| fields.is_empty());
                !matches!(key.as_str(), "text" | "name") && !value.is_null() && !empty
            });
            for (key, value) in fields {
                match key.as_str() {
                    "password" => *value = directory::HIDDEN.into(),
                    _ => bare(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(bare),
        Value::String(text) => *text = directory::hide_passwords(text).into_owned(),
        _ => {}
    }
}

/// A part of a path without percent-encoding.
fn decoded(part: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), part.as_bytes());
    while let [first, behind @ ..] = rest {
        let code = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &behind[2..]).1,
            None => (bytes.push(*first), rest = behind).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request may carry a document of the largest size that etcd takes.
const BODY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_a_verb_and_an_object_and_no_secret() {
        let of = |path: &str, body: &str| {
            let deed = deed(&format!("/api/v1{path}"), body.as_bytes());
            (deed.verb, deed.object, deed.asked.to_string())
        };
        let is = |verb: &str, object: &str, asked: &str| (verb.to_string(), object.to_string(), asked.to_string());
        assert_eq!(of("/queues/mx%3Aout%3Aa.test/retry", ""), is("queue retry", "mx:out:a.test", "null"));
        assert_eq!(of("/messages/01M/redirect", r#"{"to":"b"}"#), is("message redirect", "01M", r#"{"to":"b"}"#));
        let drain = r#"{"service":"smtp","force":false,"who":"","why":"new disk"}"#;
        let asked = r#"{"force":false,"service":"smtp","why":"new disk"}"#;
        assert_eq!(of("/members/hub2/drain", drain), is("member drain", "hub2", asked));
        assert_eq!(of("/nodes/b.test/drain", "null"), is("node drain", "b.test", "null"));
        assert_eq!(of("/journals/b/take-over", "{}"), is("journal take-over", "b", "{}"));
        assert_eq!(of("/restart", ""), is("restart", "this process", "null"));
        assert_eq!(of("/config/reload", ""), is("reload", "organization document", "null"));
        let apply = r#"{"text":"password = \"x\"","base":7,"why":"w","who":""}"#;
        assert_eq!(of("/org", apply), is("org apply", "organization document", r#"{"base":7,"why":"w"}"#));
        let set = r#"{"name":"ann","set":{"password":"letmein","may_send_as":"$argon2id$v=19$x"},"unset":[]}"#;
        let asked = r#"{"set":{"may_send_as":"(hidden)","password":"(hidden)"}}"#;
        assert_eq!(of("/org/objects/user/set", set), is("org set", "user ann", asked));
    }

    #[test]
    fn only_what_changes_something_is_noted() {
        let is_noted = |method: Method, path: &str| changes(&method, &path.parse().unwrap_or_default());
        assert!(is_noted(Method::POST, "/api/v1/queues/a/retry"));
        assert!(is_noted(Method::POST, "/api/v1/org"));
        assert!(is_noted(Method::DELETE, "/api/v1/queues/a"));
        assert!(is_noted(Method::POST, "/api/v1/org/objects/user/set?dry_run=false"));
        assert!(is_noted(Method::POST, "/api/v1/queues/a/retry?dry_run=true"), "no such thing there");
        assert!(!is_noted(Method::GET, "/api/v1/queues"));
        assert!(!is_noted(Method::POST, "/api/v1/org/validate"));
        assert!(!is_noted(Method::POST, "/api/v1/org/objects/user/set?dry_run=true"));
        assert!(!is_noted(Method::POST, "/api/v1/org/objects/user/test"));
    }
}
