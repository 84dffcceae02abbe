//! What a connection to a service meets, as far as the document says.

use super::Question;
use crate::org::{Org, socket_covers};
use crate::service::{ProxyHeader, Service};
use crate::target::Host;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

impl Org {
    /// The service of this node that a connection would reach.
    pub fn service_on(&self, question: &Question) -> Option<&Service> {
        let listens = |socket: &SocketAddr| match question.to {
            Some(ip) => socket_covers(*socket, SocketAddr::new(ip, question.port)),
            None => socket.port() == question.port,
        };
        let own = self.own_services();
        own.map(|service| &**service).find(|service| service.listen.iter().any(listens))
    }

    pub(super) fn explain_service(&self, out: &mut String, service: &Service, from: IpAddr) {
        let Service { name, hostname, protocol, algorithm, .. } = service;
        if !service.remote.contains(from) {
            let _ = writeln!(
                out,
                "Service \"{name}\" listens there and closes the connection: {from} is not in its remote ranges."
            );
            return;
        }
        let _ = writeln!(
            out,
            "Service \"{name}\" ({}, {hostname}) hands it to one of its members, by {}.",
            protocol.word(),
            algorithm.word()
        );
        for member in &service.members {
            let drained = if member.drain { ", drained" } else { "" };
            let _ = write!(
                out,
                "  {}: {}, weight {}, priority {}{drained}",
                member.name, member.address, member.weight, member.priority
            );
            let _ = match self.behind(member.address.host.clone(), member.address.port, member.proxy, from) {
                Some(connector) => writeln!(out, "; there the client meets receive connector \"{connector}\""),
                None => writeln!(out),
            };
        }
    }

    /// The connector of this node that a client meets behind a member.
    fn behind(&self, host: Host, port: u16, proxy: ProxyHeader, from: IpAddr) -> Option<&str> {
        let Host::Ip(ip) = host else { return None };
        let connector =
            (proxy != ProxyHeader::None).then(|| self.choose_connector(SocketAddr::new(ip, port), from))??;
        Some(&connector.name)
    }
}
