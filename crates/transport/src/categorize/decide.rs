//! What becomes of a message at the end of its data, before custody: refused, or taken for these recipients. Joins sizes, rules, expansion
//! and remote domains. Pure.
//!
//! Always holds: the result is decided once and is what the accept record says; for a message that needs none of it nothing is allocated.

use super::expand::{self, Change, Expanded, expand, nobody, too_large};
use super::rules::{Seen, walk};
use directory::{Org, SizeLimits};
use mail::{Enhanced, Envelope, Mailbox, Notify, Recipient, Reply, ReversePath};
use spool::{EARLY_MAX, Early, Settled};

/// A message at the end of its data.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The organization that the session knows.
    pub org: &'q Org,
    /// Content bytes: of now or of when the organization took it, whichever is less (behaviours 1.8).
    pub size_bytes: u64,
    /// What bounds them.
    pub limits: SizeLimits,
    /// What the header says.
    pub seen: &'q Seen,
}

/// What was done to a message that is taken. Its recipients are in its envelope.
#[derive(Debug, Default, PartialEq)]
pub struct Decided {
    /// Recipients that are settled already.
    pub early: Vec<Early>,
    /// What the trace says.
    pub changes: Vec<Change>,
}

/// Decides about a message; its envelope gets the final recipients. An error is the refusal: nothing of it is to be kept.
pub fn decide(question: &Question<'_>, envelope: &mut Envelope) -> Result<Decided, Reply> {
    let org = question.org;
    if is_plain(question, &envelope.recipients) {
        return Ok(Decided::default());
    }
    let written = std::mem::take(&mut envelope.recipients);
    // Behaviours 1.8: the size of a mailbox is looked at before the rules.
    let (large, fitting): (Vec<Recipient>, Vec<Recipient>) =
        written.into_iter().partition(|to| is_too_large(question, to));
    let failed = |recipient| Early { recipient, outcome: Settled::Failed(too_large()) };
    let mut early: Vec<Early> = large.into_iter().map(failed).collect();
    let walked = walk(org, &envelope.from, fitting, question.seen, Some(question.size_bytes));
    early.extend(walked.early);
    let Expanded { mut recipients, early: from_groups, changes } =
        expand(org, walked.recipients, question.size_bytes, question.limits)?;
    early.extend(from_groups);
    if question.seen.automatic_reply {
        early.extend(unwanted_replies(org, &mut recipients));
    }
    if is_told_nothing(org, &envelope.from) {
        recipients.iter_mut().for_each(|to| to.notify = Notify::Never);
        early.iter_mut().for_each(|known| known.recipient.notify = Notify::Never);
    }
    if recipients.is_empty() {
        return Err(early.into_iter().find_map(refusal).unwrap_or_else(nobody));
    }
    if early.len() > EARLY_MAX {
        let text = format!("refused for more than {EARLY_MAX} of its recipients");
        return Err(early
            .into_iter()
            .find_map(refusal)
            .map_or_else(expand::too_many, |reply| Reply { text: text.into(), ..reply }));
    }
    envelope.recipients = recipients;
    let changes = [walked.changes, changes].concat();
    Ok(Decided { early, changes })
}

fn refusal(early: Early) -> Option<Reply> {
    match early.outcome {
        Settled::Failed(reply) => Some(reply),
        Settled::Expanded => None,
    }
}

/// Nothing here is about such a message: the envelope is final as it is.
fn is_plain(question: &Question<'_>, recipients: &[Recipient]) -> bool {
    let (org, handling) = (question.org, &question.org.handling);
    if !handling.rules.is_empty() || !handling.remote_domains.is_empty() {
        return false;
    }
    let fits = |own| question.limits.to(own).is_none_or(|max| question.size_bytes <= max);
    if org.recipients().is_empty() {
        return fits(None);
    }
    // Several may be the same one by different names.
    let [only] = recipients else { return false };
    match org.recipient_of(&only.address) {
        None => fits(None),
        Some(known) => {
            known.is_mailbox()
                && !known.is_forwarded()
                && known.goes_by(&only.address)
                && fits(known.message_bytes_max())
        }
    }
}

fn is_too_large(question: &Question<'_>, to: &Recipient) -> bool {
    let own = question.org.recipient_of(&to.address).and_then(|known| known.message_bytes_max());
    question.limits.to(own).is_some_and(|max| question.size_bytes > max)
}

/// Takes those out that live where robots' answers may not go.
fn unwanted_replies(org: &Org, recipients: &mut Vec<Recipient>) -> Vec<Early> {
    let may = |to: &Recipient| {
        let remote = org.handling.remote_domain(to.address.domain());
        remote.is_none_or(|known| known.automatic_replies) || org.accepted_domain(to.address.domain()).is_some()
    };
    let (kept, unwanted): (Vec<Recipient>, Vec<Recipient>) = std::mem::take(recipients).into_iter().partition(may);
    *recipients = kept;
    let reply = || Reply::new(550, Enhanced::new(5, 7, 1), "automatic replies do not go to this domain");
    unwanted.into_iter().map(|recipient| Early { recipient, outcome: Settled::Failed(reply()) }).collect()
}

/// Senders of that domain are not told what became of their mail.
fn is_told_nothing(org: &Org, from: &ReversePath) -> bool {
    from.mailbox().is_some_and(|from| {
        let remote = org.handling.remote_domain(from.domain());
        remote.is_some_and(|known| !known.notifications) && org.accepted_domain(from.domain()).is_none()
    })
}

/// What is said to RCPT although the recipient exists: it takes none so large. `declared_bytes` is what MAIL said with SIZE.
pub fn rcpt_refusal(
    org: &Org,
    to: &Mailbox,
    declared_bytes: Option<u64>,
    limits: SizeLimits,
) -> Option<(&'static str, Reply)> {
    let declared_bytes = declared_bytes?;
    let known = if org.recipients().is_empty() { None } else { org.recipient_of(to) };
    let max = limits.to(known.and_then(|known| known.message_bytes_max()))?;
    (declared_bytes > max).then(|| ("recipient_size", too_large()))
}
