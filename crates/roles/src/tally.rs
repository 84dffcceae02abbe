//! What this node counts of its services, as it is shown. Knows no other node.

use std::collections::HashMap;

use balancer::pool::{Health, Shown};
use directory::{Service, ServiceMember};

use crate::rates::Rates;
use crate::view;

/// Growth of a member's counters: connections, bytes from clients, bytes to clients.
pub type MemberRates = Rates<(String, String), 3>;

/// What of one service was counted here.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Its members.
    pub members: Vec<Shown>,
    /// Connections that a member failed and another one then served: each failure is one.
    pub retries_hidden: u64,
    /// Connections that nobody served.
    pub unserved: u64,
    /// Why it does not run here though it should, and what to do.
    pub wrong: Option<String>,
}

/// What was counted here, by service.
pub type AllCounted = HashMap<String, Counted>;

/// The counters whose growth is looked at.
pub fn counters(all: &AllCounted) -> impl Iterator<Item = ((String, String), [u64; 3])> {
    all.iter().flat_map(|(service, counted)| {
        counted.members.iter().map(|member| {
            let counts = [member.connections, member.up_bytes, member.down_bytes];
            (key(service, member), counts)
        })
    })
}

/// A service as this node, `node`, shows it.
pub fn shown(service: &Service, node: &str, all: &AllCounted, rates: &MemberRates) -> view::Service {
    let mut view = of_document(service);
    if !service.enabled || !service.is_for(&node.to_ascii_lowercase()) {
        return view;
    }
    let nothing = Counted { wrong: Some(NOT_RUNNING.into()), ..Counted::default() };
    let counted = all.get(&*service.name).unwrap_or(&nothing);
    let member = |shown: &Shown| member(shown, rates.per_s(&key(&service.name, shown)));
    let members: Vec<view::ServiceMember> = counted.members.iter().map(member).collect();
    let flow = members.iter().fold(view::Flow::default(), |sum, member| sum.and(member.flow));
    let (retries_hidden, unserved) = (counted.retries_hidden, counted.unserved);
    (view.flow, view.retries_hidden, view.unserved) = (flow, retries_hidden, unserved);
    if !members.is_empty() {
        view.members = members.clone();
    }
    let wrong = counted.wrong.clone();
    view.balancers = vec![view::ServiceBalancer { node: node.into(), wrong, flow, retries_hidden, unserved, members }];
    view
}

/// What the document says of it.
fn of_document(service: &Service) -> view::Service {
    let member = |member: &ServiceMember| view::ServiceMember {
        name: member.name.to_string(),
        address: member.address.to_string(),
        standing: "unknown".into(),
        drained: member.drain,
        weight: member.weight,
        priority: member.priority,
        ..view::ServiceMember::default()
    };
    view::Service {
        name: service.name.to_string(),
        hostname: service.hostname.to_string(),
        protocol: service.protocol.word().into(),
        listen: service.listen.iter().map(|address| address.to_string()).collect(),
        algorithm: service.algorithm.word().into(),
        enabled: service.enabled,
        members: service.members.iter().map(|of| member(of)).collect(),
        ..view::Service::default()
    }
}

fn member(shown: &Shown, [connections_per_s, up_bytes_per_s, down_bytes_per_s]: [f64; 3]) -> view::ServiceMember {
    let standing = match shown.health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
        Health::Draining => "draining",
    };
    view::ServiceMember {
        name: shown.name.to_string(),
        address: shown.address.to_string(),
        standing: standing.into(),
        reason: shown.reason.clone(),
        drained: shown.is_drained,
        ejected_for_ms: shown.ejected_for_ms,
        weight: shown.weight,
        priority: shown.priority,
        flow: view::Flow {
            connections: shown.active.into(),
            in_transaction: shown.in_transaction.into(),
            connections_total: shown.connections,
            connections_per_s,
            up_bytes_per_s,
            down_bytes_per_s,
            up_bytes: shown.up_bytes,
            down_bytes: shown.down_bytes,
        },
        refused: shown.refused,
        greeting_median_us: shown.greeting_median_us,
        greeting_p99_us: shown.greeting_p99_us,
    }
}

fn key(service: &str, member: &Shown) -> (String, String) {
    (service.to_string(), format!("{} {}", member.name, member.address))
}

const NOT_RUNNING: &str = "it does not run here; the log of this node says why";
