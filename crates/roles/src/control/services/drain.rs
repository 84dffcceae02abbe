//! Owns the verbs on members: drain, resume, and how a drain goes. A drain is a fact of the organization document: every balancer hears of it,
//! now and after a restart, and it is in the versions and in the audit log.
//! Always holds: a service is not left without a member that takes connections, unless somebody says so (behaviours 6.5); of two drains at
//! the same time one is refused, because both were judged by the same document.

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::{Service, ServiceMember};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Control, ObjectOrder, ObjectVerb, Refusal};
use crate::view;

/// What is to be done to a member.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberOrder {
    /// The service; nothing: the only one that has such a member.
    pub service: Option<String>,
    /// Though the service has nobody else who takes connections.
    pub force: bool,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// A member and its service, as the document has them.
struct Found {
    service: Arc<Service>,
    member: Arc<ServiceMember>,
}

impl Control {
    /// New connections go elsewhere from now on, on every balancer; those that are there finish.
    pub async fn member_drain(&self, member: &str, order: MemberOrder) -> Result<view::ObjectChanged, Refusal> {
        let _one = self.begun.draining.lock().await;
        let base = self.org_text().version.as_ref().map(|version| version.version);
        let found = self.member_named(member, order.service.as_deref())?;
        if !order.force {
            let service = self.service(&found.service.name).await?;
            may_drain(&service, &found.member.name)?;
        }
        self.set_drain(&found, true, base, order).await
    }

    /// The member gets new connections again.
    pub async fn member_resume(&self, member: &str, order: MemberOrder) -> Result<view::ObjectChanged, Refusal> {
        let base = self.org_text().version.as_ref().map(|version| version.version);
        let found = self.member_named(member, order.service.as_deref())?;
        self.set_drain(&found, false, base, order).await
    }

    /// What is left of a member, on every balancer.
    pub async fn member_draining(&self, member: &str, service: Option<&str>) -> Result<view::MemberDrain, Refusal> {
        let found = self.member_named(member, service)?;
        let gathered = self.gathered(Some(&found.service.name)).await;
        let balancers = gathered.services.iter().flat_map(|service| &service.balancers);
        let at = |balancer: &view::ServiceBalancer| {
            let of_name = || balancer.members.iter().filter(|member| member.name == *found.member.name);
            let flow = of_name().fold(view::Flow::default(), |sum, member| sum.and(member.flow));
            view::DrainAt {
                node: balancer.node.clone(),
                drained: of_name().all(|member| member.drained),
                connections: flow.connections,
                in_transaction: flow.in_transaction,
            }
        };
        let balancers: Vec<view::DrainAt> = balancers.map(at).collect();
        Ok(view::MemberDrain {
            service: found.service.name.to_string(),
            member: found.member.name.to_string(),
            drained: balancers.iter().all(|at| at.drained),
            balancers,
            silent: gathered.silent,
        })
    }

    async fn set_drain(
        &self,
        found: &Found,
        drain: bool,
        base: Option<u64>,
        order: MemberOrder,
    ) -> Result<view::ObjectChanged, Refusal> {
        let Found { service, member } = found;
        let mut set = BTreeMap::from([("drain".to_string(), Value::Bool(drain))]);
        let verb = match member.is_written {
            true => ObjectVerb::Set,
            // What the map gives is not written anywhere: from now on it is.
            false => {
                set.extend([("service".to_string(), service.name.as_ref().into())]);
                set.extend(member.server.iter().map(|server| ("server".to_string(), server.as_ref().into())));
                set.extend([("port".to_string(), member.address.port.into())]);
                ObjectVerb::New
            }
        };
        let why = match (order.why.trim(), drain) {
            ("", true) => format!("{} is drained", member.name),
            ("", false) => format!("{} is in service again", member.name),
            (why, _) => why.to_string(),
        };
        let order =
            ObjectOrder { name: member.name.to_string(), set, base, who: order.who, why, ..ObjectOrder::default() };
        self.object_change("member", verb, order, false).await
    }

    /// The member of that name, in the service that is named or in the only one that has it.
    fn member_named(&self, name: &str, service: Option<&str>) -> Result<Found, Refusal> {
        let services = match service {
            Some(service) => vec![self.service_named(service)?],
            None => self.node.org().services.clone(),
        };
        let of = |service: &Arc<Service>| {
            let member = service.members.iter().find(|member| member.name.eq_ignore_ascii_case(name))?;
            Some(Found { service: service.clone(), member: member.clone() })
        };
        let mut found: Vec<Found> = services.iter().filter_map(of).collect();
        let all = || services.iter().flat_map(|service| &service.members).map(|member| &*member.name);
        match (found.pop(), found.is_empty()) {
            (Some(found), true) => Ok(found),
            (Some(last), false) => {
                let names = found.iter().map(|found| &*found.service.name).chain([&*last.service.name]);
                let names: Vec<&str> = names.collect();
                let error = format!("{name} is a member of several services: {}", names.join(", "));
                Err(Refusal::bad(error, "say which one: --service NAME; each service is drained for itself"))
            }
            (None, _) => {
                let names: Vec<&str> = all().take(NAMES_SHOWN).collect();
                let what = format!("posthouse service show NAME shows the members; there are: {}", names.join(", "));
                Err(Refusal::missing(format!("there is no member '{name}'"), &what))
            }
        }
    }
}

/// Refuses to take the last member out that takes connections: of two, never both (behaviours 6.5).
fn may_drain(service: &view::Service, member: &str) -> Result<(), Refusal> {
    let others: Vec<&view::ServiceMember> = service.members.iter().filter(|other| other.name != member).collect();
    let takes =
        |other: &&view::ServiceMember| !other.drained && other.standing != "down" && other.standing != "draining";
    if others.iter().any(takes) {
        return Ok(());
    }
    let how = |other: &&view::ServiceMember| match (other.drained, other.reason.as_str()) {
        (true, _) => format!("{} is drained", other.name),
        (false, "") => format!("{} is {}", other.name, other.standing),
        (false, reason) => format!("{} is {}: {reason}", other.name, other.standing),
    };
    let said = match others.is_empty() {
        true => "it has no other".to_string(),
        false => others.iter().map(how).collect::<Vec<_>>().join("; "),
    };
    let drained = others.iter().find(|other| other.drained);
    let what = match drained {
        Some(other) => format!("put {0} back first: posthouse service resume {0}; or say --force, and clients hear 421", other.name),
        None => "mend another member first (posthouse service show NAME says what is wrong); or say --force, and clients hear 421".into(),
    };
    let error = format!("{member} is the last member of {} that takes connections: {said}", service.name);
    Err(Refusal::busy(error, &what))
}

const NAMES_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn service(members: &[(&str, &str, bool)]) -> view::Service {
        let member = |(name, standing, drained): &(&str, &str, bool)| view::ServiceMember {
            name: name.to_string(),
            standing: standing.to_string(),
            drained: *drained,
            ..Default::default()
        };
        view::Service { name: "smtp".into(), members: members.iter().map(member).collect(), ..Default::default() }
    }

    #[test]
    fn of_two_members_never_both_are_drained() {
        let refused = |members: &[(&str, &str, bool)], name: &str| may_drain(&service(members), name).err();
        assert_eq!(refused(&[("a", "up", false), ("b", "up", false)], "a"), None);
        let why = refused(&[("a", "up", false), ("b", "up", true)], "a").unwrap();
        assert!(why.error.contains("b is drained") && why.what_to_do.contains("posthouse service resume b"), "{why}");
        let why = refused(&[("a", "up", false), ("b", "down", false)], "a").unwrap();
        assert!(why.error.contains("b is down") && why.what_to_do.contains("--force"), "{why}");
        assert!(refused(&[("a", "up", false)], "a").unwrap().error.contains("it has no other"));
        assert_eq!(refused(&[("a", "up", false), ("b", "partly down", false)], "a"), None, "some balancer reaches it");
        assert_eq!(refused(&[("a", "up", false), ("b", "unknown", false)], "a"), None, "nobody has looked yet");
        assert_eq!(refused(&[("a", "up", false), ("b", "down", false), ("c", "up", false)], "a"), None);
    }
}
