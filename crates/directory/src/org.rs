//! The organization, compiled: which connector a connection meets, whether a sender and a recipient are welcome, where mail goes.

use crate::destination::Destinations;
use crate::domain::{AcceptedDomain, DomainMap};
use crate::dynamic::Dynamic;
use crate::handling::Handling;
use crate::ldap::Directory;
use crate::permission::{Grants, Group, Principal};
use crate::range::IpRange;
use crate::receive::{Protocol, ReceiveConnector, ReceiveTls};
use crate::recipients::{Recipient, Recipients, Senders};
use crate::retry::Retry;
use crate::send::SendConnector;
use crate::service::{Service, ServiceMember};
use crate::sources::Routing;
use crate::target::Host;
use crate::topology::Topology;
use crate::user::User;
use crate::virtual_address::VirtualAddress;
use crate::zone::Naming;
use mail::{Enhanced, Mailbox, Reply, ReversePath};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

/// The organization document, valid and ready to be asked. Share it as `Arc<Org>`; a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Org {
    /// Who gets mail for `<postmaster>` without a domain (RFC 5321 4.5.1), and whose name notifications bear.
    pub postmaster: Mailbox,
    /// In order of the document.
    pub accepted_domains: Vec<Arc<AcceptedDomain>>,
    /// In order of the document, those of this node.
    pub receive_connectors: Vec<Arc<ReceiveConnector>>,
    /// In order of the document.
    pub send_connectors: Vec<Arc<SendConnector>>,
    /// In order of the document.
    pub users: Vec<Arc<User>>,
    /// In order of the document, those of other nodes as well.
    pub services: Vec<Arc<Service>>,
    /// In order of the document: the first one that knows an address counts.
    pub directories: Vec<Arc<Directory>>,
    /// When failed deliveries are tried again.
    pub retry: Retry,
    /// Bounds of what is sent to providers.
    pub destinations: Destinations,
    /// What is done with mail before it is taken.
    pub handling: Arc<Handling>,
    /// In order of the document.
    pub virtual_addresses: Vec<Arc<VirtualAddress>>,
    /// Zones, and what may stand in them.
    pub naming: Arc<Naming>,
    /// Receive connectors that are for other nodes and not for this one.
    connectors_elsewhere: Vec<Arc<ReceiveConnector>>,
    /// Everybody whom the document itself names.
    own_recipients: Recipients,
    recipients: Recipients,
    /// Made when it is asked for the first time.
    dynamic: Arc<OnceLock<Dynamic>>,
    choices: Vec<Choice>,
    domains: DomainMap<Arc<AcceptedDomain>>,
    pub(crate) routing: Arc<Routing>,
    user_names: HashMap<Box<str>, Arc<User>>,
}

/// What an organization is compiled from.
pub struct Parts {
    pub postmaster: Mailbox,
    pub accepted_domains: Vec<Arc<AcceptedDomain>>,
    /// Those of every node.
    pub receive_connectors: Vec<Arc<ReceiveConnector>>,
    pub send_connectors: Vec<Arc<SendConnector>>,
    pub users: Vec<Arc<User>>,
    pub services: Vec<Arc<Service>>,
    pub directories: Vec<Arc<Directory>>,
    pub retry: Retry,
    pub destinations: Destinations,
    pub handling: Arc<Handling>,
    pub virtual_addresses: Vec<Arc<VirtualAddress>>,
    /// Everybody whom the document itself names.
    pub recipients: Recipients,
    pub topology: Topology,
    pub naming: Naming,
    /// The name of this node.
    pub server: String,
}

/// One socket and one range of a connector. Sorted so that the first one that fits a connection is the one that counts.
#[derive(Clone, Debug)]
struct Choice {
    socket: SocketAddr,
    range: IpRange,
    connector: Arc<ReceiveConnector>,
}

/// One socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where. An IPv6 wildcard means IPv6 only.
    pub address: SocketAddr,
    /// What is spoken there, for logs and metrics (connectors that share a socket may differ: the chosen one counts).
    pub protocol: Protocol,
    /// Names of the connectors on it.
    pub connectors: Vec<Arc<str>>,
    /// The address is a virtual one: it comes and goes.
    pub is_virtual: bool,
}

/// Whether MAIL is welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderAnswer {
    /// Go on.
    Accept,
    /// Nobody may send here without AUTH.
    AuthRequired,
    /// Nothing may be sent here at all.
    NotAllowed,
    /// The user may not send as this address.
    NotTheirs,
    /// Peers of this connector may not use our own domains as sender.
    OwnDomain,
}

/// Whether RCPT is welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientAnswer {
    /// Go on.
    Accept,
    /// The domain is not ours and the session may not relay.
    RelayDenied,
    /// The domain is ours and there is no such mailbox.
    UnknownUser,
    /// The recipient exists, and takes mail from our own senders only.
    Restricted,
    /// The connector refuses domains of this form.
    NoSuchDomain,
    /// The domain is ours, and a directory that may know the mailbox was never read so far.
    NotKnownYet,
}

impl Org {
    /// Makes the maps that questions are answered from.
    pub(crate) fn compile(parts: Parts) -> Org {
        let mut domains = DomainMap::default();
        for domain in &parts.accepted_domains {
            domains.insert(&domain.name, Arc::clone(domain));
        }
        let (receive_connectors, connectors_elsewhere): (Vec<_>, Vec<_>) =
            parts.receive_connectors.into_iter().partition(|connector| connector.is_for(&parts.server));
        let routing = Routing::new(parts.topology, &parts.server, &parts.accepted_domains, &parts.send_connectors);
        Org {
            choices: choices(&receive_connectors),
            domains,
            routing: Arc::new(routing),
            user_names: parts.users.iter().map(|user| (user.name.to_lowercase().into(), Arc::clone(user))).collect(),
            postmaster: parts.postmaster,
            accepted_domains: parts.accepted_domains,
            receive_connectors,
            connectors_elsewhere,
            send_connectors: parts.send_connectors,
            users: parts.users,
            services: parts.services,
            retry: parts.retry,
            destinations: parts.destinations,
            handling: parts.handling,
            virtual_addresses: parts.virtual_addresses,
            naming: Arc::new(parts.naming),
            recipients: match parts.directories.is_empty() {
                true => parts.recipients.clone(),
                false => parts.recipients.and(&Recipients::unread()),
            },
            directories: parts.directories,
            own_recipients: parts.recipients,
            dynamic: Arc::default(),
        }
    }

    /// The services that this node does.
    pub fn own_services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter().filter(|service| service.enabled && service.is_for(self.server()))
    }

    /// The receive connectors of a server, this one or another one.
    pub fn connectors_of(&self, server: &str) -> impl Iterator<Item = &Arc<ReceiveConnector>> {
        let all = self.receive_connectors.iter().chain(&self.connectors_elsewhere);
        all.filter(move |connector| connector.is_for(server))
    }

    /// The sockets to listen on: every binding once; an address that a wildcard of its family and port includes is left out.
    pub fn listeners(&self) -> Vec<Listener> {
        let enabled = || self.receive_connectors.iter().filter(|connector| connector.enabled);
        let all = || enabled().flat_map(|c| c.listen.iter().map(move |socket| (*socket, c)));
        let mut found: Vec<Listener> = Vec::new();
        for (socket, connector) in all() {
            let included = all().any(|(other, _)| other != socket && socket_covers(other, socket));
            if included || found.iter().any(|listener| listener.address == socket) {
                continue;
            }
            let on_it = all().filter(|(other, _)| socket_covers(socket, *other));
            let mut connectors: Vec<Arc<str>> = on_it.map(|(_, c)| Arc::clone(&c.name)).collect();
            connectors.dedup();
            let is_virtual = self.is_virtual(socket.ip());
            found.push(Listener { address: socket, protocol: connector.protocol, connectors, is_virtual });
        }
        found
    }

    /// Whether some node may have this address for a time.
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.virtual_addresses.iter().flat_map(|one| &one.addresses).any(|net| net.addr() == address)
    }

    /// The policy for a connection to our address `local` from `peer`: of the connectors on that socket, the one with the most
    /// specific range that contains the peer; then the exact binding before a wildcard; then the first name. `None`: 421 4.3.2.
    pub fn choose_connector(&self, local: SocketAddr, peer: IpAddr) -> Option<&Arc<ReceiveConnector>> {
        self.on_socket(local).find(|choice| choice.range.contains(peer)).map(|choice| &choice.connector)
    }

    /// A connection to `local` from `peer` must start with a PROXY header, because a connector on that socket trusts the peer for it.
    /// The connector is then chosen by the address that the header gives.
    pub fn expects_proxy_header(&self, local: SocketAddr, peer: IpAddr) -> bool {
        self.on_socket(local).any(|choice| choice.connector.trusted_proxies.contains(peer))
    }

    /// The connector that a probe of the balancer `proxy` at our address `local` asks about: one that trusts it to speak for clients, and
    /// is not for servers of the organization, who pass no balancer.
    pub fn connector_for_probe(&self, local: SocketAddr, proxy: IpAddr) -> Option<&Arc<ReceiveConnector>> {
        let mut all = self.on_socket(local).map(|choice| &choice.connector);
        all.find(|one| one.tls != ReceiveTls::Organization && one.trusted_proxies.contains(proxy))
    }

    /// Whether MAIL from `from` is welcome. Asked anew at each MAIL: AUTH changes the principal.
    pub fn sender(&self, connector: &ReceiveConnector, principal: &Principal, from: &ReversePath) -> SenderAnswer {
        let grants = connector.grants(principal);
        if !grants.has(Grants::SUBMIT) {
            let may_log_on = matches!(principal, Principal::Peer) && connector.permissions.contains(&Group::Users);
            return if may_log_on { SenderAnswer::AuthRequired } else { SenderAnswer::NotAllowed };
        }
        if from.is_null() || self.owns(principal, from) {
            return SenderAnswer::Accept;
        }
        match () {
            () if !grants.has(Grants::ANY_SENDER) => SenderAnswer::NotTheirs,
            () if !grants.has(Grants::OWN_DOMAIN_SENDER) && self.is_own_sender(from) => SenderAnswer::OwnDomain,
            () => SenderAnswer::Accept,
        }
    }

    /// Whether `from` is an address of whoever the session acts for: the one place that knows whose an address is.
    fn owns(&self, principal: &Principal, from: &ReversePath) -> bool {
        match principal {
            Principal::User(user) => user.may_send_as(from),
            Principal::Peer | Principal::Server(_) => false,
        }
    }

    /// Whether RCPT to `to` is welcome.
    pub fn recipient(&self, connector: &ReceiveConnector, principal: &Principal, to: &Mailbox) -> RecipientAnswer {
        let grants = connector.grants(principal);
        match self.accepted_domain(to.domain()) {
            Some(domain) => match self.recipient_of(to) {
                Some(known) if known.senders() == Senders::Trusted && !grants.has(Grants::TRUSTED) => {
                    RecipientAnswer::Restricted
                }
                Some(_) => RecipientAnswer::Accept,
                None if !domain.refuses_unknown || domain.lists(to.local()) => RecipientAnswer::Accept,
                None if !self.recipients.are_whole() => RecipientAnswer::NotKnownYet,
                None => RecipientAnswer::UnknownUser,
            },
            None if connector.refuses_domain(to.domain()) => RecipientAnswer::NoSuchDomain,
            None if grants.has(Grants::ANY_RECIPIENT) => RecipientAnswer::Accept,
            None => RecipientAnswer::RelayDenied,
        }
    }

    /// Those whom the document itself names, in its order.
    pub fn own_recipients(&self) -> &Recipients {
        &self.own_recipients
    }

    /// Everybody: those whom the document names, then those of the directories.
    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// This organization with what its directories know now. Cheap: tables are shared, not copied.
    pub fn with_recipients(&self, of_directories: &Recipients) -> Org {
        let recipients = self.own_recipients.and(of_directories);
        Org { recipients, dynamic: Arc::default(), ..self.clone() }
    }

    /// Members that a group has by their attributes, by the group's own address. The first question of a version of the recipients looks at
    /// all of them: see [`Org::knows_dynamic_members`].
    pub fn dynamic_members(&self, group: &Mailbox) -> &[Mailbox] {
        self.dynamic.get_or_init(|| Dynamic::of(&self.recipients)).members(group)
    }

    /// [`Org::dynamic_members`] answers at once.
    pub fn knows_dynamic_members(&self) -> bool {
        self.dynamic.get().is_some()
    }

    /// Who has this address: as it is written, or without what stands behind a `+` where the domain says so.
    pub fn recipient_of(&self, to: &Mailbox) -> Option<Recipient<'_>> {
        self.recipients.get(to).or_else(|| {
            let domain = self.accepted_domain(to.domain()).filter(|domain| domain.plus_addressing)?;
            let has_plus = !self.recipients.is_empty() && to.local().contains('+');
            let base = has_plus.then(|| Mailbox::of_parts(&domain.mailbox_name(to.local()), to.domain()))?;
            self.recipients.get(&base)
        })
    }

    /// The accepted domain that `domain` belongs to.
    pub fn accepted_domain(&self, domain: &str) -> Option<&Arc<AcceptedDomain>> {
        self.domains.get(domain)
    }

    /// The user of that name, without regard to case.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.user_names.get(&*name.to_lowercase())
    }

    /// A receive connector by name.
    pub fn receive_connector(&self, name: &str) -> Option<&Arc<ReceiveConnector>> {
        self.receive_connectors.iter().find(|connector| &*connector.name == name)
    }

    /// Whether every service that has a member at `local`, a socket of this node, drains it: who came there through a balancer goes elsewhere.
    pub fn is_drained_member(&self, local: SocketAddr) -> bool {
        let is_here = |member: &ServiceMember| match &member.address.host {
            Host::Ip(ip) => ip.to_canonical() == local.ip(),
            Host::Name(_) => member.server.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(self.server())),
        };
        let services = self.services.iter().filter(|service| service.enabled && service.protocol.is_mail());
        let members = services.flat_map(|service| &service.members);
        let mut here = members.filter(|member| member.address.port == local.port() && is_here(member)).peekable();
        here.peek().is_some() && here.all(|member| member.drain)
    }

    /// A service by name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| &*service.name == name)
    }

    /// A send connector by name.
    pub fn send_connector(&self, name: &str) -> Option<&Arc<SendConnector>> {
        self.send_connectors.iter().find(|connector| &*connector.name == name)
    }

    fn on_socket(&self, local: SocketAddr) -> impl Iterator<Item = &Choice> {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        self.choices.iter().filter(move |choice| socket_covers(choice.socket, local))
    }

    fn is_own_sender(&self, from: &ReversePath) -> bool {
        from.mailbox().is_some_and(|from| self.accepted_domain(from.domain()).is_some())
    }
}

/// Whoever listens on `socket` also hears what is sent to `local`: the same socket, or the wildcard of its family and port.
pub(crate) fn socket_covers(socket: SocketAddr, local: SocketAddr) -> bool {
    let wildcard = socket.ip().is_unspecified() && socket.is_ipv4() == local.is_ipv4();
    socket.port() == local.port() && (socket.ip() == local.ip() || wildcard)
}

fn choices(connectors: &[Arc<ReceiveConnector>]) -> Vec<Choice> {
    let mut choices = Vec::new();
    for connector in connectors.iter().filter(|connector| connector.enabled) {
        for socket in &connector.listen {
            for range in &connector.remote.0 {
                choices.push(Choice { socket: *socket, range: *range, connector: Arc::clone(connector) });
            }
        }
    }
    let exact = |choice: &Choice| Reverse(!choice.socket.ip().is_unspecified());
    choices.sort_by_key(|choice| (choice.range.span(), exact(choice), Arc::clone(&choice.connector.name)));
    choices
}

impl SenderAnswer {
    /// The refusal that the peer hears.
    pub fn refusal(self) -> Option<Reply> {
        let (code, enhanced, text) = match self {
            SenderAnswer::Accept => return None,
            SenderAnswer::AuthRequired => (530, Enhanced::new(5, 7, 0), "Authentication required"),
            SenderAnswer::NotAllowed => (550, Enhanced::new(5, 7, 1), "You may not send here"),
            SenderAnswer::NotTheirs => (550, Enhanced::new(5, 7, 1), "You may not send as this address"),
            SenderAnswer::OwnDomain => (550, Enhanced::new(5, 7, 1), "Senders of our own domains must authenticate"),
        };
        Some(Reply::new(code, enhanced, text))
    }
}

impl RecipientAnswer {
    /// The refusal that the peer hears.
    pub fn refusal(self) -> Option<Reply> {
        match self {
            RecipientAnswer::Accept => None,
            RecipientAnswer::RelayDenied => Some(Reply::new(550, Enhanced::new(5, 7, 1), "Relay access denied")),
            RecipientAnswer::UnknownUser => Some(Reply::new(550, Enhanced::new(5, 1, 1), "No such user here")),
            RecipientAnswer::Restricted => {
                let text = "This recipient takes mail from our own senders only";
                Some(Reply::new(550, Enhanced::new(5, 7, 1), text))
            }
            RecipientAnswer::NoSuchDomain => Some(Reply::new(550, Enhanced::new(5, 1, 2), "No such domain")),
            RecipientAnswer::NotKnownYet => {
                Some(Reply::new(451, Enhanced::new(4, 3, 0), "Recipients are not known yet, try later"))
            }
        }
    }
}
