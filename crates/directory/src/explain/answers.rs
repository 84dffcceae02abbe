//! What a connection meets, as values: the same questions that a session asks, asked of the same [`Org`], so that what is explained
//! equals what runs. The words around it are [`super`]'s.

use super::Question;
use crate::org::{Org, RecipientAnswer, SenderAnswer};
use crate::permission::{Grants, Principal};
use crate::range::IpRange;
use crate::receive::{ReceiveConnector, ReceiveTls};
use crate::user::{Password, User};
use mail::ReversePath;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a connection meets.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Our socket that it comes to.
    pub to: SocketAddr,
    /// The peer must send a PROXY header first; all else is for a client of it with the same address.
    pub needs_proxy_header: bool,
    /// The receive connector and its range that counts; `None`: 421 4.3.2, or nobody listens.
    pub connector: Option<(Arc<ReceiveConnector>, IpRange)>,
    /// Somebody listens on that socket at all.
    pub listens: bool,
    /// What is answered to whom.
    pub answers: Vec<Answers>,
}

/// What somebody is answered, under TLS where the connector requires it.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Who calls.
    pub who: Caller,
    /// What they may do.
    pub grants: Grants,
    /// MAIL. Without a sender in the question, or for users in general: for a sender that is theirs.
    pub mail: SenderAnswer,
    /// RCPT, if one was asked about and MAIL is accepted.
    pub rcpt: Option<RecipientAnswer>,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who has not logged on.
    Peer,
    /// A server of the organization, by its certificate.
    Server,
    /// The user who was asked about.
    User,
    /// Users in general.
    Users,
}

impl Org {
    /// What a connection meets, and what is answered on it.
    pub fn explained(&self, question: &Question) -> Explained {
        let (from, to) = (question.from, self.met_at(question));
        let connector = self.choose_connector(to, from).and_then(|connector| {
            let around = connector.remote.0.iter().filter(|range| range.contains(from));
            Some((connector.clone(), *around.min_by_key(|range| range.span())?))
        });
        let answers = connector.as_ref().map_or(Vec::new(), |(connector, _)| self.all_answers(connector, question));
        let needs_proxy_header = self.expects_proxy_header(to, from);
        Explained { to, needs_proxy_header, connector, listens: self.listens(to), answers }
    }

    fn all_answers(&self, connector: &ReceiveConnector, question: &Question) -> Vec<Answers> {
        let mut callers = match connector.tls {
            // No grant depends on which server it is.
            ReceiveTls::Organization => vec![(Caller::Server, Principal::Server("".into()))],
            _ => vec![(Caller::Peer, Principal::Peer)],
        };
        if !connector.auth.is_empty() {
            callers.push(match question.user.as_deref().and_then(|name| self.user(name)) {
                Some(user) => (Caller::User, Principal::User(user.clone())),
                None => (Caller::Users, Principal::User(Arc::new(nobody_in_particular()))),
            });
        }
        callers.iter().map(|(who, principal)| self.answers(connector, *who, principal, question)).collect()
    }

    fn answers(
        &self,
        connector: &ReceiveConnector,
        who: Caller,
        principal: &Principal,
        question: &Question,
    ) -> Answers {
        // Whose an address is can only be said of somebody in particular.
        let mail = question.mail.as_ref().filter(|_| who != Caller::Users).unwrap_or(&ReversePath::Null);
        let mail = self.sender(connector, principal, mail);
        let rcpt = question.rcpt.as_ref().filter(|_| mail == SenderAnswer::Accept);
        let rcpt = rcpt.map(|to| self.recipient(connector, principal, to));
        Answers { who, grants: connector.grants(principal), mail, rcpt }
    }

    fn listens(&self, to: SocketAddr) -> bool {
        let enabled = self.receive_connectors.iter().filter(|connector| connector.enabled);
        enabled.flat_map(|connector| &connector.listen).any(|socket| crate::org::socket_covers(*socket, to))
    }
}

/// A user of whom nothing is known but that it is one.
fn nobody_in_particular() -> User {
    User { name: "".into(), password: Password::Argon2id("".into()), may_send_as: Vec::new() }
}
