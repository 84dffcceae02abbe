//! Owns the answers about the cluster: what this node knows, with what the other nodes and the members of etcd say when they are asked.
//! Knows no HTTP. Always holds: an answer takes no longer than [`PATIENCE`]; who does not answer by then is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::etcd::EndpointStatus;
use tokio::task::JoinSet;

use super::nodes::{Answer, Order};
use super::{Control, Refusal};
use crate::view;

impl Control {
    /// The cluster, as this node sees it, with what all others say just now.
    pub async fn cluster(&self) -> Result<view::Cluster, Refusal> {
        self.shown_cluster().await.ok_or_else(no_cluster)
    }

    /// The same, if there is a cluster.
    pub async fn shown_cluster(&self) -> Option<view::Cluster> {
        let place = self.node.cluster.as_ref()?;
        let client = place.cluster.client().clone();
        let (reports, endpoints) = tokio::join!(self.reports(), tokio::time::timeout(PATIENCE, client.status()));
        let endpoints = match endpoints {
            Ok(all) => all.into_iter().map(endpoint).collect(),
            Err(_) => self.endpoints(),
        };
        self.known_cluster(&reports, endpoints)
    }

    /// What is known without asking anybody.
    pub(super) fn cluster_state(&self) -> Option<view::ClusterState> {
        let own = BTreeMap::from([(self.name().to_ascii_lowercase(), self.report())]);
        let known = self.known_cluster(&own, self.endpoints())?;
        Some(view::ClusterState { etcd: known.etcd.answers, etcd_since: known.etcd.since, wrong: known.wrong })
    }

    /// All nodes that this one knows.
    pub async fn nodes(&self) -> view::Nodes {
        let node = self.name();
        let reports = self.reports().await;
        if let Some(cluster) = self.known_cluster(&reports, Vec::new()) {
            return view::Nodes { node, nodes: cluster.nodes };
        }
        let links = self.node.peers.as_ref().map(|peers| peers.states()).unwrap_or_default();
        let own = view::ClusterNode {
            name: node.clone(),
            here: true,
            health: self.node.health.word().into(),
            version: env!("CARGO_PKG_VERSION").into(),
            messages: reports.get(&node.to_ascii_lowercase()).map(|report| report.messages),
            ..view::ClusterNode::default()
        };
        let other = |link: view::Peer| {
            let report = reports.get(&link.name);
            view::ClusterNode {
                here: link.connected,
                health: report.map(|report| report.health.clone()).unwrap_or_default(),
                messages: report.map(|report| report.messages),
                gone_since: (!link.connected).then_some(link.since),
                version: link.version.unwrap_or_default(),
                address: link.address,
                link: Some(link.connected),
                link_error: link.last_error.filter(|_| !link.connected),
                name: link.name,
                ..view::ClusterNode::default()
            }
        };
        view::Nodes { node, nodes: std::iter::once(own).chain(links.into_iter().map(other)).collect() }
    }

    fn known_cluster(
        &self,
        reports: &BTreeMap<String, view::Report>,
        endpoints: Vec<view::EtcdEndpoint>,
    ) -> Option<view::Cluster> {
        let place = self.node.cluster.as_ref()?;
        let links = self.node.peers.as_ref().map(|peers| peers.states()).unwrap_or_default();
        Some(place.shown(self.node.world.clock.mono_ms(), &links, reports, endpoints))
    }

    /// The members of etcd as the document names them, not asked.
    fn endpoints(&self) -> Vec<view::EtcdEndpoint> {
        let Some(place) = &self.node.cluster else { return Vec::new() };
        let named = |endpoint: &cluster::etcd::Endpoint| view::EtcdEndpoint {
            url: endpoint.to_string(),
            ..view::EtcdEndpoint::default()
        };
        place.cluster.client().endpoints().iter().map(named).collect()
    }

    /// What the nodes say of themselves, all asked at a time.
    async fn reports(&self) -> BTreeMap<String, view::Report> {
        let mut asked = JoinSet::new();
        let links = self.node.peers.as_ref().map(|peers| peers.states()).unwrap_or_default();
        for link in links.into_iter().filter(|link| link.connected) {
            let control = self.clone();
            asked.spawn(async move {
                let answer = control.ask(&link.name, Order::Report, "", PATIENCE).await;
                (link.name, answer)
            });
        }
        let mut reports = BTreeMap::from([(self.name().to_ascii_lowercase(), self.report())]);
        while let Some(answer) = asked.join_next().await {
            if let Ok((name, Ok(Answer::Report(report)))) = answer {
                reports.insert(name, report);
            }
        }
        reports
    }

    /// What this node says of itself.
    pub(super) fn report(&self) -> view::Report {
        let node = &self.node;
        let mut report = view::Report {
            health: node.health.word().into(),
            messages: node.spool.totals().messages,
            journals: Vec::new(),
            hand_over: node.handing_over(),
        };
        let Some(copies) = &node.copies else { return report };
        let taken = copies.taken.shown();
        let own = report.messages;
        report.messages += taken.iter().map(|taken| taken.messages).sum::<u64>();
        let owned = match &node.cluster {
            Some(place) => place.owned(),
            None => vec![(copies.own.journal().to_string(), copies.own.shown())],
        };
        for (name, mut copies_of_it) in owned.into_iter().take(JOURNALS_MAX) {
            copies_of_it.iter_mut().filter_map(|copy| copy.last_error.as_mut()).for_each(|error| {
                *error = error.chars().take(ERROR_CHARS_MAX).collect();
            });
            let messages = match name == copies.own.journal() {
                true => own,
                false => taken.iter().filter(|taken| taken.journal == name).map(|taken| taken.messages).sum(),
            };
            report.journals.push(view::ReportedJournal { name, messages, copies: copies_of_it });
        }
        report
    }
}

/// For verbs that need a cluster.
pub(super) fn no_cluster() -> Refusal {
    Refusal::missing(
        String::from("this node is in no cluster"),
        "give it [peers] and [cluster] in posthouse.toml; docs/operating/run-a-cluster.md; without a cluster, posthouse status says it all",
    )
}

fn endpoint(of: EndpointStatus) -> view::EtcdEndpoint {
    let (well, says) = match of.health {
        Ok(health) if !health.has_leader => (false, format!("{}, knows no leader", health.version)),
        Ok(health) => {
            let leads = if health.is_leader { ", leads" } else { "" };
            (true, format!("{}, {} KiB{leads}", health.version, health.db_bytes >> 10))
        }
        Err(error) => (false, error.to_string()),
    };
    view::EtcdEndpoint { url: of.endpoint, well: Some(well), says }
}

/// A node that is well answers in milliseconds.
const PATIENCE: Duration = Duration::from_millis(800);
/// Journals of which a node speaks to another: an answer has a bound.
const JOURNALS_MAX: usize = 16;
const ERROR_CHARS_MAX: usize = 120;
