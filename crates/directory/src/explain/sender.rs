//! Who may send what on a connector, in words: MAIL FROM and its SIZE, before and after a logon.

use std::fmt::Write;
use std::sync::Arc;

use mail::ReversePath;

use super::Question;
use crate::org::{Org, SenderAnswer};
use crate::permission::{Grants, Group, Principal};
use crate::receive::ReceiveConnector;
use crate::unit::bytes_text;
use crate::user::User;

impl Org {
    /// What becomes of MAIL, in each role that the peer could have there. Nothing if nobody asks for a sender, a size or a user.
    pub(super) fn explain_sender(&self, out: &mut String, connector: &ReceiveConnector, question: &Question) {
        if let Some(name) = &question.user {
            self.explain_logon(out, connector, name);
        }
        if question.mail.is_none() && question.size_bytes.is_none() {
            return;
        }
        for (when, principal) in self.roles(connector, question.user.as_deref()) {
            if let Some(mail) = &question.mail {
                let answer = self.sender(connector, &principal, mail);
                let why = self.why(answer, &principal, mail);
                let _ = writeln!(out, "{when}, MAIL FROM:<{}> is {}{why}.", mail.as_str(), said(answer));
            }
            if let Some(bytes) = question.size_bytes {
                let _ = writeln!(out, "{when}, {}.", fits(connector, &principal, bytes));
            }
        }
        if let (Some(mail), None) = (&question.mail, &question.user) {
            self.explain_users(out, connector, mail);
        }
    }

    /// As whom the peer can ask: as a stranger, and as the user who is named.
    fn roles(&self, connector: &ReceiveConnector, user: Option<&str>) -> Vec<(String, Principal)> {
        let mut roles = vec![("Without logging on".to_string(), Principal::Peer)];
        if let Some(user) = user.and_then(|name| self.user(name)).filter(|_| may_log_on(connector)) {
            roles.push((format!("Logged on as {}", user.name), Principal::User(Arc::clone(user))));
        }
        roles
    }

    fn explain_logon(&self, out: &mut String, connector: &ReceiveConnector, name: &str) {
        let why = match self.user(name) {
            None => "there is no user of that name",
            Some(_) if connector.auth.is_empty() => "the connector offers no AUTH",
            Some(_) if !may_log_on(connector) => "its permissions do not name users",
            Some(_) => return,
        };
        let _ = writeln!(out, "{name} cannot log on there: {why}.");
    }

    /// Which users may send as an address, where users may send at all.
    fn explain_users(&self, out: &mut String, connector: &ReceiveConnector, mail: &ReversePath) {
        if !may_log_on(connector) {
            return;
        }
        let may = |user: &&Arc<User>| {
            self.sender(connector, &Principal::User(Arc::clone(user)), mail) == SenderAnswer::Accept
        };
        let mut able = self.users.iter().filter(may).map(|user| &*user.name);
        let named: Vec<&str> = able.by_ref().take(USERS_NAMED_MAX).collect();
        let more = able.count();
        let mail = mail.as_str();
        let _ = match (named.is_empty(), more) {
            (true, _) => {
                let refusal = said(SenderAnswer::NotTheirs);
                writeln!(
                    out,
                    "After logging on, MAIL FROM:<{mail}> is {refusal} for every user: none may send as that address."
                )
            }
            (false, 0) => writeln!(out, "After logging on, MAIL FROM:<{mail}> is accepted from {}.", named.join(", ")),
            (false, _) => {
                writeln!(
                    out,
                    "After logging on, MAIL FROM:<{mail}> is accepted from {} and {more} more.",
                    named.join(", ")
                )
            }
        };
    }

    fn why(&self, answer: SenderAnswer, principal: &Principal, mail: &ReversePath) -> String {
        match (answer, principal) {
            (SenderAnswer::NotTheirs, Principal::User(user)) => {
                format!(": neither the name of {} nor its may_send_as covers that address", user.name)
            }
            (SenderAnswer::OwnDomain, _) => {
                let domain = mail.mailbox().and_then(|mail| self.accepted_domain(mail.domain()));
                let name = domain.map_or("ours", |domain| &domain.name);
                format!(": accepted domain {name} is ours, and peers of this connector may not use it")
            }
            (SenderAnswer::NotAllowed, _) => ": no permission of the connector lets the peer send".into(),
            _ => String::new(),
        }
    }
}

fn may_log_on(connector: &ReceiveConnector) -> bool {
    connector.permissions.contains(&Group::Users) && !connector.auth.is_empty()
}

fn said(answer: SenderAnswer) -> String {
    answer.refusal().map_or_else(|| "accepted".into(), |refusal| format!("refused with {refusal}"))
}

fn fits(connector: &ReceiveConnector, principal: &Principal, bytes: u64) -> String {
    let (limit, size) = (connector.limits.message_bytes_max, bytes_text(bytes));
    if connector.grants(principal).has(Grants::ANY_SIZE) {
        return format!("a message of {size} is not too large: any size is allowed");
    }
    match bytes <= limit {
        true => format!("a message of {size} is not too large ({} is the limit)", bytes_text(limit)),
        false => format!("a message of {size} is refused with 552 5.3.4: {} is the limit", bytes_text(limit)),
    }
}

/// Of those who may send as an address.
const USERS_NAMED_MAX: usize = 10;
