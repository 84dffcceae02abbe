//! Verbs on zones: shown, as a file, pushed, checked against what the world sees.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use directory::Org;
use directory::zone::{Push, Zone, is_within};
use dns::check::{Ask, Identity, Wanted, Wish, judge, look, shown_data};
use dns::contents::{Contents, Record, Set, Why};
use dns::file::zone_file;
use dns::octets;
use dns::push::{Change, Outcome, Step, What};
use mail::date::rfc3339;

use super::{Control, Refusal};
use crate::pushes::push_once;
use crate::view;

impl Control {
    /// All zones of the document.
    pub(super) fn zones_of_document(&self) -> Vec<view::Zone> {
        let org = self.node.org();
        org.naming.zones().iter().map(|zone| self.zone_in(&org, zone)).collect()
    }

    /// One zone.
    pub fn zone(&self, name: &str) -> Result<view::Zone, Refusal> {
        let org = self.node.org();
        let zone = named(&org, name)?;
        Ok(self.zone_in(&org, &zone))
    }

    /// A zone as a file: as the document has it, or with `now` as it is answered by health now.
    pub fn zone_file(&self, name: &str, now: bool) -> Result<view::ZoneFile, Refusal> {
        let org = self.node.org();
        let zone = named(&org, name)?;
        let serial = self.serial(&zone).unwrap_or((self.now_ms() / 1_000) as u32);
        let contents = match now {
            true => self.contents(&org, &zone),
            false => Contents::of_document(&org.naming, &zone),
        };
        let health = if now { "by health now" } else { "as the document has it, whoever is healthy" };
        let about = format!("zone {} by posthouse on {}, {}, {health}", zone.name, self.name(), rfc3339(self.now_ms()));
        Ok(view::ZoneFile { zone: zone.name.to_string(), serial, text: zone_file(&contents, serial, &about) })
    }

    /// Writes a zone to its server of others, or with `dry_run` says what would be written.
    pub async fn zone_push(
        &self,
        name: &str,
        overwrite: bool,
        dry_run: bool,
        who: &str,
    ) -> Result<view::ZonePush, Refusal> {
        let org = self.node.org();
        let zone = named(&org, name)?;
        let to = zone.push.clone().ok_or_else(|| {
            Refusal::bad(
                format!("zone {} is pushed nowhere", zone.name),
                "set push and push_key of the zone: posthouse set zone NAME push=HOST",
            )
        })?;
        let contents = self.contents(&org, &zone);
        let sets = octets::record_sets(&contents);
        let result = push_once(&self.node.world, &zone, &to, &sets, overwrite, dry_run).await;
        if !dry_run {
            tracing::info!(zone = &*zone.name, who, "asked to push");
            self.node.pushes.note(&self.node.world, &zone, sets, &result);
        }
        match result {
            Ok(outcome) => Ok(shown(&zone, &to, &outcome)),
            Err(undone) => Err(Refusal::busy(
                format!("zone {} was not pushed to {}: {undone}", zone.name, to.server),
                undone.what_to_do(),
            )),
        }
    }

    /// What the world sees of a zone against what we want. Asks name servers of others: takes a while.
    pub async fn zone_check(
        &self,
        name: &str,
        servers: &[String],
        resolvers: &[String],
    ) -> Result<view::ZoneCheck, Refusal> {
        let org = self.node.org();
        let zone = named(&org, name)?;
        let contents = self.contents(&org, &zone);
        let mut ask = Ask { servers: addresses(servers)?, resolvers: addresses(resolvers)? };
        if ask.resolvers.is_empty() {
            ask.resolvers = self.resolvers();
        }
        let wish = wish(&org, &contents);
        let seen = look(&self.node.world, &wish, &ask).await;
        let findings = judge(&wish, &seen).into_iter().map(|finding| view::ZoneFinding {
            grade: finding.grade.word().into(),
            what: finding.what,
            advice: finding.advice,
        });
        let server = |server: &dns::check::ServerSeen| {
            let at = server.address.map(|at| format!(" ({at})")).unwrap_or_default();
            let said = server.serial.as_ref().map_or_else(String::clone, |serial| format!("serial {serial}"));
            format!("{}{at}: {said}", server.name)
        };
        Ok(view::ZoneCheck {
            zone: zone.name.to_string(),
            servers: seen.servers.iter().map(server).collect(),
            findings: findings.collect(),
        })
    }

    /// What stands now; before the first look at health, all.
    fn contents(&self, org: &Org, zone: &Arc<Zone>) -> Contents {
        let now = self.node.zones.as_ref().and_then(|zones| zones.contents(org, &zone.name));
        now.unwrap_or_else(|| Contents::of_document(&org.naming, zone))
    }

    fn serial(&self, zone: &Zone) -> Option<u32> {
        self.node.zones.as_ref().and_then(|zones| zones.serial(&zone.name))
    }

    fn zone_in(&self, org: &Org, zone: &Arc<Zone>) -> view::Zone {
        let contents = self.contents(org, zone);
        let records = || contents.sets.iter().flat_map(|set| set.records.iter().map(move |record| (set, record)));
        let withheld = records().filter(|(_, record)| !record.stands);
        let withheld =
            withheld.map(|(set, record)| format!("{} {} {}: {}", set.name, set.kind.word(), record.data, record.why));
        let serial = self.serial(zone);
        view::Zone {
            name: zone.name.to_string(),
            served: serial.is_some(),
            serial,
            records: records().filter(|(_, record)| record.stands).count() as u64,
            withheld: withheld.collect(),
            all_down: contents.all_down().map(|set| format!("{} {}", set.name, set.kind.word())).collect(),
            names: contents.sets.iter().filter_map(hanging).collect(),
            name_servers: zone.name_servers.iter().map(ToString::to_string).collect(),
            secondaries: zone.secondaries.iter().map(ToString::to_string).collect(),
            push: zone.push.as_ref().map(|push| self.pushed(org, zone, push)),
        }
    }

    fn pushed(&self, org: &Org, zone: &Zone, push: &Push) -> view::ZonePushed {
        let known = self.node.pushes.of(&zone.name).unwrap_or_default();
        view::ZonePushed {
            server: push.server.to_string(),
            key: push.key.as_ref().map(|key| key.name.to_string()),
            on_change: push.on_change,
            here: push.on_change
                && self.node.zones.as_ref().is_some_and(|zones| self.node.pushes.is_mine(org, zone, zones)),
            pushed: known.done_ms.map(rfc3339),
            wrong: known.wrong,
        }
    }

    /// The node's resolvers, or those of the system.
    fn resolvers(&self) -> Vec<SocketAddr> {
        let written = self.node.config.loaded().node.dns.servers.clone();
        if !written.is_empty() {
            return written;
        }
        let text = self.node.world.disk.read_all(std::path::Path::new(RESOLV_CONF)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
        named.filter_map(|ip| ip.trim().parse::<IpAddr>().ok()).map(|ip| (ip, DNS_PORT).into()).collect()
    }
}

/// A set as it is shown, if it hangs on health.
fn hanging(set: &Set) -> Option<view::ZoneName> {
    let record = |record: &Record| view::ZoneRecord {
        data: record.data.to_string(),
        stands: record.stands,
        why: record.why.to_string(),
    };
    let hangs = set.records.iter().any(|record| record.why != Why::Always);
    hangs.then(|| view::ZoneName {
        name: set.name.to_string(),
        kind: set.kind.word().into(),
        all_down: set.all_down,
        records: set.records.iter().map(record).collect(),
    })
}

fn named(org: &Org, name: &str) -> Result<Arc<Zone>, Refusal> {
    org.naming.zone(name).cloned().ok_or_else(|| no_zone(name))
}

fn no_zone(name: &str) -> Refusal {
    Refusal::missing(format!("there is no zone '{name}'"), "posthouse dns list shows all; posthouse new zone makes one")
}

fn addresses(texts: &[String]) -> Result<Vec<SocketAddr>, Refusal> {
    let read = |text: &String| {
        let ip = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)).ok();
        ip.or_else(|| text.parse().ok()).ok_or_else(|| {
            Refusal::bad(
                format!("'{text}' is no address of a name server"),
                "write 192.0.2.53, or 192.0.2.53:5353, or [2001:db8::53]:53",
            )
        })
    };
    texts.iter().map(read).collect()
}

/// What we want the world to see.
fn wish(org: &Org, contents: &Contents) -> Wish {
    let zone = &contents.zone;
    let wanted = |set: &Set| Wanted {
        key: dns::push::Key::of(&octets::record_set(set)),
        now: set.standing().map(octets::data).collect(),
        ever: set.records.iter().map(|record| octets::data(&record.data)).collect(),
        ttl_s: set.ttl_s,
    };
    let domains = org.accepted_domains.iter().filter(|domain| !domain.name.starts_with('*'));
    let ours = domains.filter(|domain| org.naming.zone_of(&domain.name).is_some_and(|of| of.name == zone.name));
    let identities = org.mail_identities().into_iter().filter(|one| is_within(&one.hello, &zone.name));
    Wish {
        zone: octets::name(&zone.name),
        name_servers: zone.name_servers.iter().map(|server| octets::name(server)).collect(),
        sets: contents.sets.iter().map(wanted).collect(),
        mail_domains: ours.map(|domain| octets::name(&domain.name)).collect(),
        identities: identities
            .map(|one| Identity { server: one.server, address: one.address, hello: one.hello })
            .collect(),
    }
}

fn shown(zone: &Zone, to: &Push, outcome: &Outcome) -> view::ZonePush {
    let set = |key: &dns::push::Key| format!("{} {}", key.name.trim_end_matches('.'), key.kind);
    let step = |step: &Step| view::ZoneStep {
        what: match step.what {
            What::Change(Change::Add) => "add",
            What::Change(Change::Replace) => "replace",
            What::Change(Change::Remove) => "remove",
            What::Adopt => "adopt",
            What::Foreign => "foreign",
            What::Meddled => "meddled",
        }
        .into(),
        set: set(&step.key),
        before: step.before.iter().map(shown_data).collect(),
        after: step.after.iter().map(shown_data).collect(),
    };
    view::ZonePush {
        zone: zone.name.to_string(),
        server: to.server.to_string(),
        sent: outcome.is_sent,
        steps: outcome.plan.steps.iter().map(step).collect(),
        not_taken: outcome.not_taken.iter().map(set).collect(),
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
