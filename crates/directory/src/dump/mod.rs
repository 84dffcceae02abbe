//! The effective configuration as documents again: every setting of every section, defaults included, in the order of the
//! [`settings`](crate::settings) rows.

mod back_pressure;
mod destination;
mod directory;
mod node;
mod org;
mod recipient;
mod rule;
mod service;
mod topology;
mod virtual_address;
mod zone;

use self::back_pressure::back_pressure_value;
use self::destination::destination_value;
use self::directory::directory_value;
use self::node::{cluster_value, dns_server_value, node_value, peer_value, peers_value};
use self::org::{domain_value, receive_value, retry_value, send_value, user_value};
use self::recipient::{contact_value, group_value, recipient_value};
use self::rule::{limits_value, remote_value, rule_value};
use self::service::{member_value, service_value};
use self::topology::{link_value, server_value, site_value};
use self::virtual_address::virtual_address_value;
use self::zone::{key_value, layout_value, name_value, zone_value};
use crate::load::Loaded;
use crate::quoted::quoted;
use crate::range::Ranges;
use crate::recipients::Is;
use crate::settings::{NODE, ORG, Section};
use std::fmt::Display;

/// Whether password hashes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// As [`HIDDEN`].
    Hide,
    /// As they are, so that the documents can be loaded again.
    Show,
}

impl Loaded {
    /// The node document and the organization document that say what runs. What came from a `recipients_file` is written as `recipients`.
    pub fn to_toml(&self, secrets: Secrets) -> (String, String) {
        (self.node_toml(), self.org_toml(secrets))
    }

    fn node_toml(&self) -> String {
        let mut node = String::new();
        for section in NODE {
            let peers = self.node.peers.as_ref();
            match section.name {
                "tls" if self.node.tls.is_none() => {}
                "peers" => peers.iter().for_each(|peers| write(&mut node, section, |key| peers_value(peers, key))),
                "dns_server" => {
                    let dns = self.node.dns_server.iter();
                    dns.for_each(|dns| write(&mut node, section, |key| dns_server_value(dns, key)));
                }
                "cluster" => {
                    let cluster = self.node.cluster.iter();
                    cluster.for_each(|cluster| write(&mut node, section, |key| cluster_value(cluster, key)));
                }
                "peer" => {
                    let known = peers.iter().flat_map(|peers| &peers.known);
                    known.for_each(|peer| write(&mut node, section, |key| peer_value(peer, key)));
                }
                "back_pressure" => write(&mut node, section, |key| back_pressure_value(&self.node.back_pressure, key)),
                name => write(&mut node, section, |key| node_value(&self.node, name, key)),
            }
        }
        node
    }

    fn org_toml(&self, secrets: Secrets) -> String {
        let mut out = String::new();
        let (map, naming) = (self.org.topology(), &self.org.naming);
        for section in ORG {
            match section.name {
                "" => write(&mut out, section, |_| text(&self.org.postmaster)),
                "accepted_domain" => {
                    self.org.accepted_domains.iter().for_each(|d| write(&mut out, section, |key| domain_value(d, key)))
                }
                "receive_connector" => self
                    .org
                    .receive_connectors
                    .iter()
                    .for_each(|c| write(&mut out, section, |key| receive_value(c, key))),
                "send_connector" => {
                    self.org.send_connectors.iter().for_each(|c| write(&mut out, section, |key| send_value(c, key)))
                }
                "site" if map.has_sites => {
                    map.sites.iter().for_each(|s| write(&mut out, section, |key| site_value(s, key)))
                }
                "site" => {}
                "site_link" => map.links.iter().for_each(|l| write(&mut out, section, |key| link_value(l, key))),
                "server" => map.servers.iter().for_each(|s| write(&mut out, section, |key| server_value(s, key))),
                "virtual_address" => {
                    let all = &self.org.virtual_addresses;
                    all.iter().for_each(|v| write(&mut out, section, |key| virtual_address_value(v, key)))
                }
                "zone" => naming.zones().iter().for_each(|z| write(&mut out, section, |key| zone_value(z, key))),
                "tsig_key" => naming.keys().iter().for_each(|k| write(&mut out, section, |key| key_value(k, key))),
                "dns_name" => naming.names().iter().for_each(|n| write(&mut out, section, |key| name_value(n, key))),
                "mx_layout" => {
                    naming.layouts().iter().for_each(|l| write(&mut out, section, |key| layout_value(l, key)))
                }
                "service" => {
                    self.org.services.iter().for_each(|s| write(&mut out, section, |key| service_value(s, key)))
                }
                "member" => {
                    let all = self.org.services.iter().flat_map(|service| &service.members);
                    all.filter(|m| m.is_written).for_each(|m| write(&mut out, section, |key| member_value(m, key)))
                }
                "user" => {
                    self.org.users.iter().for_each(|u| write(&mut out, section, |key| user_value(u, key, secrets)))
                }
                "directory" => {
                    self.org.directories.iter().for_each(|d| write(&mut out, section, |key| directory_value(d, key)))
                }
                "recipient" | "group" | "contact" => self.recipients_of(section, &mut out),
                "remote_domain" => {
                    let remote = &self.org.handling.remote_domains;
                    remote.iter().for_each(|r| write(&mut out, section, |key| remote_value(r, key)))
                }
                "destination" => {
                    let all = self.org.destinations.all().iter();
                    all.for_each(|d| write(&mut out, section, |key| destination_value(d, key)))
                }
                "message_limits" => write(&mut out, section, |key| limits_value(&self.org.handling.limits, key)),
                "rule" => {
                    self.org.handling.rules.iter().for_each(|r| write(&mut out, section, |key| rule_value(r, key)))
                }
                _ => write(&mut out, section, |key| retry_value(&self.org.retry, key)),
            }
        }
        out
    }

    /// What the document says of mailboxes, groups or contacts. (Those of other sources are not ours to write.)
    fn recipients_of(&self, section: &Section, out: &mut String) {
        for entry in self.org.own_recipients().iter().map(|recipient| recipient.entry()) {
            match (&entry.is, section.name) {
                (Is::Mailbox, "recipient") => write(out, section, |key| recipient_value(&entry, key)),
                (Is::Group { .. }, "group") => {
                    write(out, section, |key| group_value(&entry, self.org.handling.is_quiet(&entry.address), key));
                }
                (Is::Contact { .. }, "contact") => write(out, section, |key| contact_value(&entry, key)),
                _ => {}
            }
        }
    }
}

fn write(out: &mut String, section: &Section, value: impl Fn(&str) -> Option<String>) {
    if !section.name.is_empty() {
        out.push_str(&format!("\n{}\n", section.heading()));
    }
    for setting in section.settings {
        if let Some(value) = value(setting.key) {
            out.push_str(&format!("{} = {value}\n", setting.key));
        }
    }
}

fn text(value: impl Display) -> Option<String> {
    Some(quoted(value))
}

fn texts<T: Display>(values: &[T]) -> Option<String> {
    Some(format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", ")))
}

fn ranges(ranges: &Ranges) -> Option<String> {
    texts(&ranges.0)
}

fn plain(value: impl Display) -> Option<String> {
    Some(value.to_string())
}

/// `0` in the document is no bound.
fn or_zero(value: Option<u32>) -> Option<String> {
    plain(value.unwrap_or(0))
}
