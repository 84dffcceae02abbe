//! Owns who may ask: nobody whose browser was sent here by another page. There is no password on this port, so loopback is the place
//! for it, and a page from elsewhere must not reach it through a browser that runs on this machine.
//! Always holds: a request whose Host is not an address, `localhost` or this node is refused (DNS rebinding); a request that changes
//! something and comes from another origin is refused.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use roles::control::Control;

use super::answer::Failure;

/// Stands before every route.
pub async fn guard(State(control): State<Control>, request: Request, next: Next) -> Response {
    if let Some(refusal) = refusal(request.method(), request.headers(), &control.name()) {
        return refusal.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(method: &Method, headers: &HeaderMap, own_name: &str) -> Option<Failure> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(HOST).unwrap_or_default();
    if !is_ours(host, own_name) {
        let error = format!("'{host}' is not a name of this node");
        let what = "ask by address, as localhost, or by the node's name; another name may be a DNS rebinding attack";
        return Some(Failure::new(StatusCode::FORBIDDEN, error, what));
    }
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let foreign_origin = text(ORIGIN).is_some_and(|origin| origin != format!("http://{host}"));
    let foreign_site = text(header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if !reads && (foreign_origin || foreign_site) {
        let what = "changes are made from the node's own page, or with the command line";
        return Some(Failure::new(StatusCode::FORBIDDEN, "a page of another origin asks for a change", what));
    }
    None
}

/// `127.0.0.1:8025`, `[::1]:8025`, `localhost:8025`, or the node's name with any port.
fn is_ours(host: &str, own_name: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.eq_ignore_ascii_case(own_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        refusal(&method, &headers.collect(), "mx.posthouse.test").is_some()
    }

    #[test]
    fn names_of_others_and_pages_of_others_are_refused() {
        assert!(!refused(Method::GET, &[("host", "127.0.0.1:8025")]));
        assert!(!refused(Method::GET, &[("host", "[::1]:8025")]));
        assert!(!refused(Method::GET, &[("host", "LocalHost")]));
        assert!(!refused(Method::GET, &[("host", "mx.posthouse.test:80")]));
        assert!(refused(Method::GET, &[("host", "evil.example:8025")]));
        assert!(refused(Method::GET, &[("host", "127.0.0.1.evil.example")]));
        assert!(refused(Method::GET, &[]));
        assert!(!refused(Method::POST, &[("host", "127.0.0.1:8025")]));
        assert!(!refused(Method::POST, &[("host", "127.0.0.1:8025"), ("origin", "http://127.0.0.1:8025")]));
        assert!(refused(Method::POST, &[("host", "127.0.0.1:8025"), ("origin", "http://127.0.0.1:80")]));
        assert!(refused(Method::POST, &[("host", "127.0.0.1:8025"), ("origin", "null")]));
        assert!(refused(Method::POST, &[("host", "127.0.0.1:8025"), ("sec-fetch-site", "cross-site")]));
    }
}
