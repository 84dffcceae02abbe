//! Owns the verbs of operators on queues and messages. Knows who asked, and puts it into the trace; knows no HTTP.

use mail::{Mailbox, MessageId};
use spool::{HopKey, Notice, RecipientState, VerbError};

use super::{Control, Refusal};
use crate::view;

/// Which messages a listing shows, in the words of the API. Empty = all.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageFilter {
    /// In the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// In a recipient not yet settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// In the name of a queue that it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// In the last answer or the hop's last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// With a recipient in this state (`deferred`, `hop-retry`, `suspended`, ...).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// At least so old: `30s`, `2h`, `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<String>,
    /// At most so old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
    /// At least so large: `10KB`, `5MB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger: Option<String>,
    /// At most so large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smaller: Option<String>,
    /// At most so many; 100 if not said, 10,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Behind this message: the last id of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl MessageFilter {
    /// How many messages a page has at most.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }
}

/// What is done to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageVerb {
    /// Try it now.
    Retry,
    /// Hold it.
    Suspend,
    /// Let it go on.
    Resume,
    /// Remove it, and tell its sender or nobody.
    Remove {
        /// The sender gets a notification.
        tell_sender: bool,
    },
    /// Send what is not settled to another next hop: the name of a queue (`smart-hosts:out`, `mx:out:example.org`, ...).
    Redirect {
        /// The queue.
        to: String,
    },
}

/// What is done to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueVerb {
    /// Try it now.
    Retry,
    /// Hold it.
    Suspend,
    /// Let it go on.
    Resume,
}

impl Control {
    /// All queues.
    pub fn queues(&self) -> Vec<view::Queue> {
        let (shaping, spools) = (&self.node.kit().shaping, self.node.spools());
        let (held, paused) = (shaping.held_back(), shaping.is_paused());
        let shown = |queue: (spool::QueueView, Vec<String>)| {
            let (held, waits) = (held.get(&queue.0.key), queue.0.state == spool::QueueState::Active);
            let view = view::Queue::from(queue);
            match held {
                _ if paused && waits => {
                    view.held_back("held back: back pressure pauses all deliveries (posthouse status)", None)
                }
                Some(held) => view.held_back(&held.why, held.until_ms),
                None => view,
            }
        };
        spools.queues().into_iter().map(shown).collect()
    }

    /// One queue by name.
    pub fn queue(&self, name: &str) -> Result<view::Queue, Refusal> {
        self.queues().into_iter().find(|queue| queue.name == name).ok_or_else(|| no_queue(name))
    }

    /// Does something to a queue and shows it.
    pub fn queue_verb(&self, name: &str, verb: QueueVerb, who: &str) -> Result<view::Queue, Refusal> {
        let done = self.node.spools().on_queue(name, |spool, hop| match verb {
            QueueVerb::Retry => spool.retry_hop(hop, who),
            QueueVerb::Suspend => spool.suspend_hop(hop, who),
            QueueVerb::Resume => spool.resume_hop(hop, who),
        });
        done.map_err(|error| if error == VerbError::NoQueue { no_queue(name) } else { refusal(error) })?;
        self.queue(name)
    }

    /// Messages in custody that match, oldest first.
    pub fn messages(&self, filter: &MessageFilter) -> Result<Vec<view::Message>, Refusal> {
        let after = filter.after.as_deref().map(parse_id).transpose()?;
        let found = self.node.spools().messages(&spool_filter(filter)?, filter.limit(), after);
        Ok(found.into_iter().map(view::Message::from).collect())
    }

    /// One message in custody.
    pub fn message(&self, id: &str) -> Result<view::Message, Refusal> {
        let id = parse_id(id)?;
        self.node.spools().message(id).map(view::Message::from).ok_or_else(|| refusal(VerbError::NoMessage))
    }

    /// Does something to a message. Blocks for a read when the sender is to be told.
    pub fn message_verb(&self, id: &str, verb: &MessageVerb, who: &str) -> Result<(), Refusal> {
        let id = parse_id(id)?;
        let spools = self.node.spools();
        let spool = spools.of(id).map_err(refusal)?;
        let done = match verb {
            MessageVerb::Retry => spool.retry(id, who),
            MessageVerb::Suspend => spool.suspend(id, who),
            MessageVerb::Resume => spool.resume(id, who),
            MessageVerb::Remove { tell_sender: true } => spool.remove(id, Notice::Sender, who),
            MessageVerb::Remove { tell_sender: false } => spool.remove(id, Notice::Nobody, who),
            MessageVerb::Redirect { to } => spool.redirect(id, self.hop_key(to)?, who),
        };
        done.map_err(refusal)
    }

    /// The message as it is kept, its envelope in front. Blocks.
    pub fn export(&self, id: &str) -> Result<Vec<u8>, Refusal> {
        let id = parse_id(id)?;
        let spools = self.node.spools();
        spools.of(id).and_then(|spool| spool.export(id, EXPORT_BYTES_MAX)).map_err(refusal)
    }

    /// A queue's name, or an address whose route is meant, as a next hop that the running configuration has.
    fn hop_key(&self, text: &str) -> Result<HopKey, Refusal> {
        if let Ok(mailbox) = Mailbox::parse(text, true) {
            return Ok(self.node.route_of(&mailbox));
        }
        let bad = |what: String| {
            Refusal::bad(
                what,
                "name a next hop: smart-hosts:CONNECTOR, mx:CONNECTOR:DOMAIN, lmtp:TARGET, maildir:DOMAIN, site:SITE, \
                 servers:connector:CONNECTOR or servers:domain:DOMAIN",
            )
        };
        let (kind, rest) = text.split_once(':').ok_or_else(|| bad(format!("'{text}' is not a next hop")))?;
        let org = self.node.org();
        let connector = |name: &str| match org.send_connector(name) {
            Some(connector) => Ok(Box::from(&*connector.name)),
            None => Err(bad(format!("there is no send connector '{name}'"))),
        };
        match (kind, rest.split_once(':')) {
            ("smart-hosts", _) => Ok(HopKey::SmartHosts { connector: connector(rest)? }),
            ("mx", Some((name, domain))) if mail::address::is_domain(domain) => {
                Ok(HopKey::Mx { connector: connector(name)?, domain: domain.to_lowercase().into() })
            }
            ("site", _) if org.hubs_of(&rest.to_lowercase()).next().is_some() => {
                Ok(HopKey::Site { site: rest.to_lowercase().into() })
            }
            ("site", _) => Err(bad(format!("no other server stands in a site '{rest}'"))),
            ("servers", _) if org.servers_of(rest).next().is_some() => Ok(HopKey::Servers { of: rest.into() }),
            ("servers", _) => Err(bad(format!("no other server of this site delivers '{rest}'"))),
            ("lmtp", Some(_)) => Ok(HopKey::Lmtp { target: rest.into() }),
            ("maildir", _) if org.accepted_domain(rest).is_some() => {
                Ok(HopKey::Maildir { domain: rest.to_lowercase().into() })
            }
            ("maildir", _) => Err(bad(format!("'{rest}' is not an accepted domain"))),
            _ => Err(bad(format!("'{text}' is not a next hop"))),
        }
    }
}

fn spool_filter(filter: &MessageFilter) -> Result<spool::Filter, Refusal> {
    let duration = |text: &Option<String>| text.as_deref().map(parse_duration).transpose();
    let bytes = |text: &Option<String>| text.as_deref().map(parse_bytes).transpose();
    Ok(spool::Filter {
        sender: filter.sender.clone(),
        recipient: filter.recipient.clone(),
        queue: filter.queue.clone(),
        error: filter.error.clone(),
        age_min_ms: duration(&filter.older)?,
        age_max_ms: duration(&filter.newer)?,
        size_min: bytes(&filter.larger)?,
        size_max: bytes(&filter.smaller)?,
        state: filter.state.as_deref().map(parse_state).transpose()?,
    })
}

/// `1h` before `now_ms`, or an RFC 3339 time, in Unix milliseconds.
pub fn parse_since(text: &str, now_ms: u64) -> Result<u64, Refusal> {
    match (directory::parse_duration_ms(text), mail::date::parse_rfc3339(text)) {
        (Some(age_ms), _) => Ok(now_ms.saturating_sub(age_ms)),
        (_, Some(at_ms)) => Ok(at_ms),
        _ => Err(Refusal::bad(format!("'{text}' is no time"), "write 30m, 2h, 1d, or 2026-11-21T05:17:00Z")),
    }
}

/// `30s`, `5m`, `2h`, `1d`, in milliseconds.
fn parse_duration(text: &str) -> Result<u64, Refusal> {
    directory::parse_duration_ms(text)
        .ok_or_else(|| Refusal::bad(format!("'{text}' is not a duration"), "write 30s, 5m, 2h or 1d"))
}

fn parse_bytes(text: &str) -> Result<u64, Refusal> {
    directory::parse_bytes(text)
        .ok_or_else(|| Refusal::bad(format!("'{text}' is not a size"), "write 500, 10KB or 5MB"))
}

fn parse_state(text: &str) -> Result<RecipientState, Refusal> {
    use RecipientState::*;
    let all = [Ready, InHand, Deferred, HopRetry, Suspended, Poison, Unreachable, Settled];
    let words = || all.map(RecipientState::word).join(", ");
    let found = all.into_iter().find(|state| state.word() == text);
    found.ok_or_else(|| Refusal::bad(format!("'{text}' is not a state"), &format!("one of: {}", words())))
}

fn parse_id(text: &str) -> Result<MessageId, Refusal> {
    let bad = |_| {
        Refusal::bad(
            format!("'{text}' is not a message id"),
            "an id has 26 letters and digits; the 250 after DATA names it",
        )
    };
    text.parse().map_err(bad)
}

fn no_queue(name: &str) -> Refusal {
    Refusal::missing(
        format!("there is no queue '{name}'"),
        "posthouse queue list shows all; an empty queue is forgotten after a while",
    )
}

fn refusal(error: VerbError) -> Refusal {
    let what = error.to_string();
    match error {
        VerbError::NoMessage => Refusal::missing(what, "posthouse trace --id ID tells what became of it"),
        VerbError::NoQueue => Refusal::missing(what, "posthouse queue list shows all"),
        VerbError::InHand => Refusal::busy(what, "try again, or suspend it first"),
        VerbError::Unreadable => Refusal::failed(what, "see docs/operating/rescue-a-damaged-journal.md"),
        VerbError::Stopped => {
            Refusal::busy(what, "posthouse status says why; see docs/operating/restore-after-disk-full.md")
        }
    }
}

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// An export is held in memory while it is sent.
const EXPORT_BYTES_MAX: usize = 64 << 20;
