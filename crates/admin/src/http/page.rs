//! The first page: state, queues and last events, drawn by the server and kept fresh by server-sent events where JavaScript runs.
//! Knows only what the API gives. Nothing is loaded from elsewhere.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use axum::response::Html;
use roles::control::Control;
use roles::trace::{Filter, TraceEvent};
use roles::view::{Cluster, Queue, Services, Status};

use super::answer::{Failure, blocking};
use super::shown::{clock, grouped, mood, ms, share, size, standing, why};

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    status: Status,
    queues: Vec<Queue>,
    queues_in_all: usize,
    events: Vec<TraceEvent>,
    cluster: Option<Cluster>,
    services: Services,
}

/// `GET /`
pub async fn page(State(control): State<Control>) -> Result<([(HeaderName, HeaderValue); 1], Html<String>), Failure> {
    let (cluster, services) = tokio::join!(control.shown_cluster(), control.services());
    let page = blocking(move || {
        let queues = control.queues();
        let events = control.trace(&Filter { limit: EVENTS_SHOWN, ..Filter::default() })?;
        Ok(Page {
            status: control.status(),
            queues_in_all: queues.len(),
            queues: largest(queues),
            events,
            cluster,
            services,
        })
    });
    let html = page.await?.render().map_err(|error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the page cannot be drawn: {error}"),
            "use the API below /api/v1",
        )
    })?;
    Ok(([(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))], Html(html)))
}

/// The queues that a page shows: those with trouble first, then the largest.
pub fn largest(mut queues: Vec<Queue>) -> Vec<Queue> {
    queues.sort_by_key(|queue| (queue.failures == 0, std::cmp::Reverse(queue.messages)));
    queues.truncate(QUEUES_SHOWN);
    queues
}

const EVENTS_SHOWN: usize = 30;
const QUEUES_SHOWN: usize = 50;
/// Our own inline style and script, and nothing from anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use roles::view::{Service, ServiceMember};

    #[test]
    fn what_a_stranger_sent_is_text_on_the_page() {
        let event = TraceEvent { reply: "<script>alert(1)</script>".into(), ..TraceEvent::default() };
        let queue = Queue { name: "mx:out:\"><img>".into(), messages: 1_234_567, failures: 1, ..Queue::default() };
        let mut cluster = Cluster::default();
        cluster.wrong.push("<u>".into());
        let member = ServiceMember { reason: "550 <img> go away".into(), ..ServiceMember::default() };
        let service = Service { name: "smtp".into(), members: vec![member], ..Service::default() };
        let page = Page {
            status: Status::default(),
            queues_in_all: 1,
            queues: vec![queue],
            events: vec![event],
            cluster: Some(cluster),
            services: Services { services: vec![service], silent: vec!["<u>".into()], ..Services::default() },
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script>alert") && !html.contains("<img>") && !html.contains("<u>"), "{html}");
        assert!(html.contains("1,234,567"));
    }
}
