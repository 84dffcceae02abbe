//! The first page: state, queues and last events, drawn by the server and kept fresh by server-sent events where JavaScript runs.
//! Knows only what the API gives. Nothing is loaded from elsewhere.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use axum::response::Html;
use roles::control::Control;
use roles::trace::{Filter, TraceEvent};
use roles::view::{Cluster, Queue, Services, Status, VirtualAddress, ZoneName, Zones};

use super::answer::{Failure, blocking};
use super::shown::{
    clock, grouped, here, here_mood, holder, holder_mood, mood, ms, secondaries, secondary, share, size, standing, why,
};

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    status: Status,
    queues: Vec<Queue>,
    queues_in_all: usize,
    events: Vec<TraceEvent>,
    cluster: Option<Cluster>,
    services: Services,
    addresses: Vec<VirtualAddress>,
    zones: Zones,
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
            addresses: control.virtual_addresses(),
            zones: in_short(control.zones()),
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

/// The zones with the names that a page shows: those with trouble first.
pub fn in_short(mut zones: Zones) -> Zones {
    let is_well = |name: &ZoneName| !name.all_down && name.records.iter().all(|record| record.stands);
    for zone in &mut zones.document {
        zone.names.sort_by_key(is_well);
        zone.names.truncate(NAMES_SHOWN);
    }
    zones.document.truncate(ZONES_SHOWN);
    zones
}

const EVENTS_SHOWN: usize = 30;
const QUEUES_SHOWN: usize = 50;
const ZONES_SHOWN: usize = 50;
/// Of each zone.
const NAMES_SHOWN: usize = 20;
/// Our own inline style and script, and nothing from anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use roles::view::{
        DnsListener, ServedZone, Service, ServiceMember, VirtualAddressEvent, Zone, ZonePushed, ZoneRecord,
        ZoneSecondary,
    };

    /// Whatever a name server of others says, or a document.
    fn hostile_zones() -> Zones {
        let bad = || String::from("<u>");
        let record = |stands| ZoneRecord { data: bad(), stands, why: bad() };
        let name = ZoneName { name: bad(), kind: bad(), all_down: true, records: vec![record(true), record(false)] };
        let push = ZonePushed { server: bad(), pushed: Some(bad()), wrong: Some(bad()), ..ZonePushed::default() };
        let zone = Zone { name: bad(), names: vec![name], push: Some(push), all_down: vec![bad()], ..Zone::default() };
        let secondary = ZoneSecondary { address: bad(), deaf: Some(bad()), ..ZoneSecondary::default() };
        let served = ServedZone { name: bad(), secondaries: vec![secondary], ..ServedZone::default() };
        let listener = DnsListener { address: bad(), unbound: Some(bad()) };
        Zones { listeners: vec![listener], zones: vec![served], document: vec![zone] }
    }

    #[test]
    fn names_in_trouble_are_shown_first_and_not_more_than_a_page_holds() {
        let name = |at: usize| ZoneName {
            name: at.to_string(),
            records: vec![ZoneRecord { stands: at != 70, ..ZoneRecord::default() }],
            ..ZoneName::default()
        };
        let zone = Zone { names: (0..100).map(name).collect(), ..Zone::default() };
        let short = in_short(Zones { document: vec![zone; 100], ..Zones::default() });
        assert_eq!((short.document.len(), short.document[0].names.len()), (ZONES_SHOWN, NAMES_SHOWN));
        assert_eq!((&*short.document[0].names[0].name, &*short.document[0].names[1].name), ("70", "0"));
    }

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
            addresses: vec![VirtualAddress {
                why: "<u>".into(),
                unfit: Some("<u>".into()),
                conflict: Some(VirtualAddressEvent { at: "<u>".into(), what: "<u>".into() }),
                ..VirtualAddress::default()
            }],
            zones: hostile_zones(),
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script>alert") && !html.contains("<img>") && !html.contains("<u>"), "{html}");
        assert!(html.contains("1,234,567"));
    }
}
