//! One push: look at what is there, plan, send, look again.

use super::mark::{self, Mark};
use super::plan::{Key, Plan, There, plan};
use super::update::{Bounds, updates};
use crate::ask::{Conversation, Failed, Question, Server};
use crate::name::Name;
use crate::record::{Kind, RecordSet};
use std::collections::BTreeSet;
use std::fmt;

/// How a push ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was to be done.
    pub plan: Plan,
    /// It was sent and taken.
    pub is_sent: bool,
    /// Sets that the server said yes to, and does not have.
    pub not_taken: Vec<Key>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// No word with the server.
    Failed(Failed),
    /// It says no: this word of its answer.
    Refused(&'static str),
    /// It does not answer for the zone: this word of its answer.
    NotThere(&'static str),
    /// Somebody else changes the zone all the time.
    Changing,
    /// One name has more than goes into one message, or the zone more names than the mark holds.
    TooLarge,
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undone::Failed(why) => write!(f, "{why}"),
            Undone::Refused(word) => write!(f, "the server refuses the update: {word}"),
            Undone::NotThere(word) => write!(f, "the server does not answer for the zone: {word}"),
            Undone::Changing => write!(f, "somebody else changes the same records all the time"),
            Undone::TooLarge => {
                write!(f, "one name has more records than fit into a message, or there are too many names")
            }
        }
    }
}

impl std::error::Error for Undone {}

impl From<Failed> for Undone {
    fn from(failed: Failed) -> Undone {
        Undone::Failed(failed)
    }
}

impl Undone {
    /// What the operator can do.
    pub fn what_to_do(&self) -> &'static str {
        match self {
            Undone::Failed(Failed::Signature(_)) => {
                "compare name, algorithm and secret of the [[tsig_key]] with the server's key, and the clocks of both machines"
            }
            Undone::Failed(_) => {
                "check push in the [[zone]], and that the server and what is between lets TCP port 53 through"
            }
            Undone::Refused("REFUSED") => "let the key update the zone there (BIND: update-policy or allow-update)",
            Undone::Refused("NOTAUTH") | Undone::NotThere(_) => {
                "name the primary server of the zone in push, not a secondary or a resolver"
            }
            Undone::Refused(_) => "the log of the server says why",
            Undone::Changing => "find out who does, and try again",
            Undone::TooLarge => "push fewer names, or make our server a primary that theirs copies (secondaries)",
        }
    }
}

/// Reads what is there of the sets that are wanted or marked, and the mark.
pub async fn look(there: &mut Conversation, zone: &Name, wanted: &[RecordSet]) -> Result<(There, Mark), Undone> {
    let mut seen = There::default();
    for part in 0..mark::PARTS_MAX {
        let key = Mark::key(zone, part).ok_or(Undone::TooLarge)?;
        look_at(there, &key, &mut seen).await?;
        if !seen.sets.get(&key).is_some_and(mark::has_more) {
            break;
        }
    }
    let mark = Mark::of(zone, &seen);
    let keys: BTreeSet<Key> = wanted.iter().map(Key::of).chain(mark.0.keys().cloned()).collect();
    for key in &keys {
        look_at(there, key, &mut seen).await?;
    }
    Ok((seen, mark))
}

async fn look_at(there: &mut Conversation, key: &Key, seen: &mut There) -> Result<(), Undone> {
    let Ok(name) = Name::parse(&key.name) else { return Ok(()) };
    let answer = there.ask(&Question::of(&name, key.kind)).await?;
    match answer.rcode {
        0 | NX_DOMAIN if answer.is_authoritative || answer.referral().is_some() => {}
        0 | NX_DOMAIN => return Err(Undone::NotThere("the answer is not authoritative")),
        _ => return Err(Undone::NotThere(answer.word())),
    }
    for kind in [key.kind, Kind::CNAME] {
        let data = answer.data(&name, kind);
        if !data.is_empty() {
            let key = Key::new(&name, kind);
            seen.ttls_s.extend(answer.ttl_s(&name, kind).map(|ttl_s| (key.clone(), ttl_s)));
            seen.sets.insert(key, data);
        }
    }
    Ok(())
}

/// Brings the zone there to what is wanted. With `dry_run` nothing is sent.
pub async fn push(
    server: &Server,
    zone: &Name,
    wanted: &[RecordSet],
    overwrite: bool,
    dry_run: bool,
) -> Result<Outcome, Undone> {
    let mut conversation = server.open().await?;
    for _ in 0..TRIES {
        let (there, mark) = look(&mut conversation, zone, wanted).await?;
        let plan = plan(zone, wanted, &there, &mark, overwrite);
        if plan.is_done() || dry_run {
            return Ok(Outcome { plan, is_sent: false, not_taken: Vec::new() });
        }
        let messages = updates(zone, &plan, &there, Bounds::default(), || server.number());
        if !say(&mut conversation, messages.map_err(|_| Undone::TooLarge)?).await? {
            continue;
        }
        let (after, _) = look(&mut conversation, zone, wanted).await?;
        let is_taken =
            |key: &Key, data: &BTreeSet<_>| after.sets.get(key).map_or(data.is_empty(), |there| there == data);
        let not_taken = plan.changes().filter(|(step, _)| !is_taken(&step.key, &step.after));
        let not_taken = not_taken.map(|(step, _)| step.key.clone()).collect();
        return Ok(Outcome { plan, is_sent: true, not_taken });
    }
    Err(Undone::Changing)
}

/// Sends them one after the other. False: what one was planned for is not there any more (RFC 2136 3.2), so those after it must be planned anew.
async fn say(conversation: &mut Conversation, messages: Vec<Vec<u8>>) -> Result<bool, Undone> {
    for message in messages {
        let answer = conversation.say(message).await?;
        match answer.rcode {
            0 => {}
            NX_DOMAIN | YX_DOMAIN | YX_RRSET | NX_RRSET => return Ok(false),
            _ => return Err(Undone::Refused(answer.word())),
        }
    }
    Ok(true)
}

const NX_DOMAIN: u8 = 3;
const YX_DOMAIN: u8 = 6;
const YX_RRSET: u8 = 7;
const NX_RRSET: u8 = 8;

/// How often a plan is made anew because the zone was changed meanwhile.
const TRIES: usize = 3;
