//! Owns what can be asked of `explain`, in the words of operators: read here for a running node and for documents alike.

use std::net::{IpAddr, SocketAddr};

use directory::objects::{self, ObjectError};
use directory::{Loaded, Org, Question, parse_bytes};
use mail::{Mailbox, ReversePath};
use serde::{Deserialize, Serialize};

use super::{Control, Refusal};

/// One case: a connection, and perhaps a transaction on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The peer's address.
    pub from: String,
    /// Our address and port; `:25` is whichever of our addresses listens on that port.
    pub to: String,
    /// The sender; `<>` is the null sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// A recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcpt: Option<String>,
    /// Size of the message: `500`, `10MB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The user who has logged on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// As this server of the organization sees it; the one that is asked if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// As the first server of this site sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

impl Case {
    /// The question that is meant.
    pub fn question(&self) -> Result<Question, Refusal> {
        let from: IpAddr = parse(&self.from, "is not an address", "write 192.0.2.1")?;
        let (to, port) = match self.to.strip_prefix(':').unwrap_or(&self.to).parse::<u16>() {
            Ok(port) => (None, port),
            Err(_) => {
                let socket: SocketAddr =
                    parse(&self.to, "is no address with port", "write 127.0.0.1:25, or :25 for whichever listens")?;
                (Some(socket.ip()), socket.port())
            }
        };
        let size = |text: &String| {
            parse_bytes(text)
                .or_else(|| text.parse().ok())
                .ok_or_else(|| Refusal::bad(format!("'{text}' is not a size"), "write 500, 10KB or 5MB"))
        };
        Ok(Question {
            from,
            to,
            port,
            user: self.user.clone(),
            mail: self.mail.as_deref().map(sender).transpose()?,
            rcpt: self.rcpt.as_deref().map(mailbox).transpose()?,
            size_bytes: self.size.as_ref().map(size).transpose()?,
        })
    }
}

impl Case {
    /// By whose eyes: the server that is named, or the first one of the site that is named.
    pub fn other_server(&self, org_text: &str) -> Result<Option<String>, Refusal> {
        let Some(site) = &self.site else { return Ok(self.server.clone()) };
        let wrong = |error: ObjectError| Refusal::bad(error.error, &error.what_to_do);
        let servers = objects::objects(org_text, objects::kind("server").map_err(wrong)?).map_err(wrong)?;
        let is_there = |server: &objects::Object| {
            let of =
                server.fields.iter().find(|field| field.setting.key == "site").and_then(|field| field.value.as_ref());
            of.is_some_and(|of| of.text().eq_ignore_ascii_case(site))
        };
        let found = servers.into_iter().find(is_there).map(|server| Some(server.name));
        found.ok_or_else(|| {
            let error = format!("no [[server]] of the document stands in a site {site}");
            Refusal::missing(error, "posthouse org get server lists them with their sites")
        })
    }
}

impl Control {
    /// What a connection meets, and what becomes of a sender and a recipient on it. Reads the documents again if another server is meant: blocks.
    pub fn explain(&self, case: &Case) -> Result<String, Refusal> {
        let question = case.question()?;
        let server = case.other_server(&self.node.config.loaded().org_text)?;
        let org = match server.filter(|server| !server.eq_ignore_ascii_case(&self.name())) {
            None => {
                let org = self.node.org();
                let mut text = org.explain(&question);
                text.push_str(&self.member_now(&org, &question));
                return Ok(text);
            }
            Some(server) => self.seen_by(&server)?.org,
        };
        Ok(org.explain(&question))
    }

    /// Which member of a service of this node a client would get now, and why.
    fn member_now(&self, org: &Org, question: &Question) -> String {
        let listens_itself =
            question.to.is_some_and(|to| org.choose_connector((to, question.port).into(), question.from).is_some());
        let service =
            org.service_on(question).filter(|service| !listens_itself && service.remote.contains(question.from));
        let pools = self.node.services.as_ref().map(|services| services.pools()).unwrap_or_default();
        let pool = service.and_then(|service| pools.iter().find(|(pool, _)| *pool.service() == service.name));
        let Some((pool, _)) = pool else { return String::new() };
        let explained = pool.explained(self.node.world.clock.mono_ms(), question.from);
        let mut text = match &explained.chosen {
            Ok(member) => format!("Now it would be {member}:\n"),
            Err(why) => format!("Now it would hear 421 4.3.2, {why}:\n"),
        };
        explained.members.iter().for_each(|(member, line)| text.push_str(&format!("  {member} {line}\n")));
        text
    }

    /// The running document as another server reads it.
    fn seen_by(&self, server: &str) -> Result<Loaded, Refusal> {
        let loaded = self.node.config.read_as(server);
        loaded.map_err(|problems| Refusal::bad(problems.to_string(), "posthouse check finds the same"))
    }
}

fn parse<T: std::str::FromStr>(text: &str, wrong: &str, what_to_do: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::bad(format!("'{text}' {wrong}"), what_to_do))
}

fn mailbox(text: &str) -> Result<Mailbox, Refusal> {
    Mailbox::parse(text, true).map_err(|error| Refusal::bad(error.to_string(), "write local@domain"))
}

fn sender(text: &str) -> Result<ReversePath, Refusal> {
    let bare = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
    if bare.is_empty() { Ok(ReversePath::Null) } else { mailbox(bare).map(ReversePath::Mailbox) }
}
