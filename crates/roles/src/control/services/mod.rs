//! Owns what is shown of services: what this node counts, with what the other balancer nodes say when they are asked over the links.
//! Knows no HTTP. Always holds: an answer takes no longer than [`PATIENCE`]; a balancer that does not answer is named, never taken for one
//! with nothing to do.

mod drain;

pub use drain::MemberOrder;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use directory::Service;
use tokio::task::JoinSet;

use super::nodes::{Answer, Order};
use super::{Control, Refusal};
use crate::{tally, view};

impl Control {
    /// All services, with what every balancer of them says just now.
    pub async fn services(&self) -> view::Services {
        self.gathered(None).await
    }

    /// One service.
    pub async fn service(&self, name: &str) -> Result<view::Service, Refusal> {
        let service = self.service_named(name)?;
        let of_name = self.gathered(Some(&service.name)).await.services.into_iter().next();
        of_name.ok_or_else(|| no_service(name, &self.service_names()))
    }

    /// What this node says of its services, without asking anybody.
    pub fn own_services(&self) -> Vec<view::Service> {
        let org = self.node.org();
        let (counted, rates) = (self.node.counted_services(), self.node.member_rates());
        org.services.iter().map(|service| tally::shown(service, &self.name(), &counted, &rates)).collect()
    }

    async fn gathered(&self, only: Option<&str>) -> view::Services {
        let is_meant = |service: &Arc<Service>| only.is_none_or(|name| *service.name == *name);
        let wanted: Vec<Arc<Service>> = self.node.org().services.iter().filter(|s| is_meant(s)).cloned().collect();
        let mut all: Vec<view::Service> = self.own_services();
        all.retain(|service| only.is_none_or(|name| service.name == name));
        let (answers, silent) = self.asked(self.balancers(&wanted)).await;
        for theirs in answers.into_iter().flatten() {
            if let Some(own) = all.iter_mut().find(|own| own.name == theirs.name) {
                own.join(theirs);
            }
        }
        view::Services { node: self.name(), services: all, silent }
    }

    /// The other nodes that do any of these services, as far as this node knows nodes.
    fn balancers(&self, services: &[Arc<Service>]) -> BTreeSet<String> {
        let links = self.node.peers.as_ref().map(|peers| peers.states()).unwrap_or_default();
        let known = links.into_iter().map(|link| link.name);
        known.filter(|node| services.iter().any(|service| service.enabled && service.is_for(node))).collect()
    }

    async fn asked(&self, nodes: BTreeSet<String>) -> (Vec<Vec<view::Service>>, Vec<String>) {
        let mut asked = JoinSet::new();
        for node in nodes {
            let control = self.clone();
            asked.spawn(async move {
                let answer = control.ask(&node, Order::Services, "", PATIENCE).await;
                (node, answer)
            });
        }
        let (mut answers, mut silent) = (Vec::new(), Vec::new());
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((_, Ok(Answer::Services(services)))) => answers.push(services),
                Ok((node, Ok(_))) => silent.push(format!("{node} runs an older program, which does not know services")),
                Ok((_, Err(refusal))) => silent.push(refusal.error),
                // A panic ends the process before this is seen.
                Err(_) => {}
            }
        }
        // In the order of names, whoever was first.
        answers.sort_by_cached_key(|services: &Vec<view::Service>| {
            let first = services.iter().flat_map(|service| &service.balancers).next();
            first.map(|balancer| balancer.node.clone())
        });
        silent.sort();
        (answers, silent)
    }

    fn service_named(&self, name: &str) -> Result<Arc<Service>, Refusal> {
        let found = self.node.org().services.iter().find(|service| service.name.eq_ignore_ascii_case(name)).cloned();
        found.ok_or_else(|| no_service(name, &self.service_names()))
    }

    fn service_names(&self) -> String {
        let names: Vec<String> = self.node.org().services.iter().map(|service| service.name.to_string()).collect();
        names.join(", ")
    }
}

fn no_service(name: &str, names: &str) -> Refusal {
    let what = match names {
        "" => "posthouse org new service NAME listen=ADDRESS:PORT makes one; docs/operating/one-name-for-many-hubs.md"
            .into(),
        names => format!("there are: {names}"),
    };
    Refusal::missing(format!("there is no service '{name}'"), &what)
}

/// A node that is well answers in milliseconds.
const PATIENCE: Duration = Duration::from_millis(1_500);
