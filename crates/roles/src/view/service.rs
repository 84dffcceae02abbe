//! Services as the API shows them: what each balancer node of a service says, and all of them together.

use serde::{Deserialize, Serialize};

/// The services of the organization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Services {
    /// The node that says this.
    pub node: String,
    /// In order of the document.
    pub services: Vec<Service>,
    /// Balancer nodes that did not answer, and why: what they count is missing here.
    pub silent: Vec<String>,
}

/// One service, all of its balancers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The name that clients know.
    pub hostname: String,
    /// What is spoken.
    pub protocol: String,
    /// Where clients connect to.
    pub listen: Vec<String>,
    /// Who gets a connection: `least_connections`, `round_robin`, `source_hash`.
    pub algorithm: String,
    /// It is switched on.
    pub enabled: bool,
    /// All balancers together.
    #[serde(flatten)]
    pub flow: Flow,
    /// Connections that a member failed and another one then served, so that the client knows nothing of it, since the start: each failure
    /// is one.
    pub retries_hidden: u64,
    /// Connections that no member could be found for (421), since the start.
    pub unserved: u64,
    /// Its members, over all balancers.
    pub members: Vec<ServiceMember>,
    /// The nodes that do it.
    pub balancers: Vec<ServiceBalancer>,
}

/// How much goes through something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Connections now.
    pub connections: u64,
    /// Of these, in the middle of a mail transaction.
    pub in_transaction: u64,
    /// Connections since the start.
    pub connections_total: u64,
    /// New connections a second, lately.
    pub connections_per_s: f64,
    /// Bytes from clients a second, lately.
    pub up_bytes_per_s: f64,
    /// Bytes to clients a second, lately.
    pub down_bytes_per_s: f64,
    /// Bytes from clients since the start.
    pub up_bytes: u64,
    /// Bytes to clients since the start.
    pub down_bytes: u64,
}

/// A service on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceBalancer {
    /// The node.
    pub node: String,
    /// What is wrong with it there, and what to do.
    pub wrong: Option<String>,
    /// What goes through it there.
    #[serde(flatten)]
    pub flow: Flow,
    /// See [`Service::retries_hidden`].
    pub retries_hidden: u64,
    /// See [`Service::unserved`].
    pub unserved: u64,
    /// Its members as that node sees them.
    pub members: Vec<ServiceMember>,
}

/// A member of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceMember {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// `unknown`, `up`, `down`, `draining`; where balancers differ, the word of most with `partly` before it.
    pub standing: String,
    /// Why, if it is not up: its own words, or what went wrong.
    pub reason: String,
    /// The document keeps new connections away from it.
    pub drained: bool,
    /// It is left alone for so long yet because connections failed.
    pub ejected_for_ms: u64,
    /// Its share against the others.
    pub weight: u32,
    /// 1 is asked first.
    pub priority: u32,
    /// What goes through it.
    #[serde(flatten)]
    pub flow: Flow,
    /// Connections that it refused since the start; another member got them, if there was one.
    pub refused: u64,
    /// Time to its greeting lately, the middle one.
    pub greeting_median_us: u64,
    /// Time to its greeting lately, one in a hundred is later.
    pub greeting_p99_us: u64,
}

/// How the drain of a member goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberDrain {
    /// The service.
    pub service: String,
    /// The member.
    pub member: String,
    /// All balancers that answered have taken it out.
    pub drained: bool,
    /// What is left, by balancer.
    pub balancers: Vec<DrainAt>,
    /// Balancer nodes that did not answer, and why.
    pub silent: Vec<String>,
}

/// What is left of a member that is drained, on one balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrainAt {
    /// The node.
    pub node: String,
    /// It has heard of the drain.
    pub drained: bool,
    /// Connections that are left.
    pub connections: u64,
    /// Of these, in the middle of a mail transaction.
    pub in_transaction: u64,
}

impl MemberDrain {
    /// No balancer that is known has anything left.
    pub fn is_over(&self) -> bool {
        self.drained && self.silent.is_empty() && self.balancers.iter().all(|at| at.connections == 0)
    }
}

impl Flow {
    /// Both together.
    pub fn and(self, other: Flow) -> Flow {
        Flow {
            connections: self.connections + other.connections,
            in_transaction: self.in_transaction + other.in_transaction,
            connections_total: self.connections_total + other.connections_total,
            connections_per_s: self.connections_per_s + other.connections_per_s,
            up_bytes_per_s: self.up_bytes_per_s + other.up_bytes_per_s,
            down_bytes_per_s: self.down_bytes_per_s + other.down_bytes_per_s,
            up_bytes: self.up_bytes + other.up_bytes,
            down_bytes: self.down_bytes + other.down_bytes,
        }
    }
}

impl Service {
    /// Takes in what another node says of the same service.
    pub fn join(&mut self, other: Service) {
        self.flow = self.flow.and(other.flow);
        self.retries_hidden += other.retries_hidden;
        self.unserved += other.unserved;
        self.balancers.extend(other.balancers);
        self.members = together(&self.balancers);
    }
}

/// The members as all balancers see them, in the order of the first one that knows each.
fn together(balancers: &[ServiceBalancer]) -> Vec<ServiceMember> {
    let mut all: Vec<(ServiceMember, Vec<&ServiceMember>)> = Vec::new();
    for member in balancers.iter().flat_map(|balancer| &balancer.members) {
        match all.iter_mut().find(|(of, _)| of.name == member.name && of.address == member.address) {
            Some((_, seen)) => seen.push(member),
            None => all.push((member.clone(), vec![member])),
        }
    }
    let join = |(first, seen): (ServiceMember, Vec<&ServiceMember>)| {
        let worst = seen.iter().max_by_key(|member| badness(&member.standing));
        let (standing, reason) =
            worst.map(|member| (member.standing.clone(), member.reason.clone())).unwrap_or_default();
        let agree = seen.iter().all(|member| member.standing == standing);
        ServiceMember {
            standing: if agree { standing } else { format!("partly {standing}") },
            reason,
            drained: seen.iter().all(|member| member.drained),
            ejected_for_ms: seen.iter().map(|member| member.ejected_for_ms).max().unwrap_or(0),
            flow: seen.iter().fold(Flow::default(), |sum, member| sum.and(member.flow)),
            refused: seen.iter().map(|member| member.refused).sum(),
            greeting_median_us: seen.iter().map(|member| member.greeting_median_us).max().unwrap_or(0),
            greeting_p99_us: seen.iter().map(|member| member.greeting_p99_us).max().unwrap_or(0),
            ..first
        }
    };
    all.into_iter().map(join).collect()
}

fn badness(standing: &str) -> u8 {
    match standing {
        "down" => 3,
        "draining" => 2,
        "unknown" => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(node: &str, standing: &str, connections: u64) -> Service {
        let flow = Flow { connections, ..Flow::default() };
        let of = ServiceMember {
            name: "a".into(),
            address: "x:25".into(),
            standing: standing.into(),
            flow,
            ..Default::default()
        };
        let balancer = ServiceBalancer { node: node.into(), flow, members: vec![of.clone()], ..Default::default() };
        Service { name: "smtp".into(), flow, members: vec![of], balancers: vec![balancer], ..Service::default() }
    }

    #[test]
    fn balancers_are_added_up_and_where_they_differ_the_worst_is_said() {
        let mut all = on("n1", "up", 3);
        all.join(on("n2", "up", 4));
        assert_eq!((all.flow.connections, all.members.len(), all.members[0].standing.as_str()), (7, 1, "up"));
        all.join(on("n3", "down", 0));
        assert_eq!((all.members[0].flow.connections, all.members[0].standing.as_str()), (7, "partly down"));
        assert_eq!(all.balancers.len(), 3);
    }

    #[test]
    fn a_drain_is_over_when_every_balancer_says_so() {
        let at = |connections| DrainAt { node: "n".into(), drained: true, connections, in_transaction: 0 };
        let of = |balancers, silent: &[&str]| MemberDrain {
            drained: true,
            balancers,
            silent: silent.iter().map(|s| s.to_string()).collect(),
            ..Default::default()
        };
        assert!(of(vec![at(0), at(0)], &[]).is_over());
        assert!(!of(vec![at(0), at(1)], &[]).is_over());
        assert!(!of(vec![at(0)], &["n2"]).is_over(), "whoever does not answer may have some");
    }
}
