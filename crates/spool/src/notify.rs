//! Owns who is told what: delivery status notifications for outcomes, delays, expiry and removal.
//! Knows no schedule. Always holds: nobody is told about a message from the null sender; NOTIFY and RET decide.

use std::borrow::Cow;
use std::sync::Arc;

use journal::Extent;
use mail::dsn::{self, Action, Original, RecipientReport, Report};
use mail::{BodyKind, Enhanced, Envelope, EventKind, Journey, Mailbox, MessageId, Recipient, Reply, Ret, ReversePath};

use crate::body::Body;
use crate::early::{Early, Settled};
use crate::packed;
use crate::record::Accept;
use crate::settler::Notice;
use crate::shared::Inner;
use crate::words::{Attempt, Outcome};

/// A message that something is said about.
pub struct About {
    /// Its name.
    pub id: MessageId,
    /// Where it was before it came here.
    pub journey: Journey,
    /// Its accept record: how its client named itself stands there.
    pub accept: Extent,
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// Its content.
    pub body: Body,
}

/// Notices for what became of recipients.
pub fn outcomes(inner: &Inner, about: &About, attempt: &Attempt<'_>, outcomes: &[(u16, Outcome)]) -> Vec<Notice> {
    let mut told = Vec::new();
    let mut copied = Vec::new();
    for (index, outcome) in outcomes {
        let Some(recipient) = about.envelope.recipients.get(usize::from(*index)) else { continue };
        let (action, wanted) = match outcome {
            Outcome::Delivered { .. } => (Action::Delivered, recipient.notify.success()),
            Outcome::Relayed { dsn_offered, .. } => (Action::Relayed, recipient.notify.success() && !dsn_offered),
            Outcome::Failed { .. } => (Action::Failed, recipient.notify.failure()),
            Outcome::Deferred { .. } => continue,
        };
        let said = Said { recipient, action, reply: outcome.reply(), attempt, until_ms: None };
        if wanted {
            told.push(said);
        }
        if action == Action::Failed && inner.settings.postmaster_copy.contains(&said.status()) {
            copied.push(said);
        }
    }
    tell(inner, about, &told, &copied)
}

/// The notice that a message is late; `None` if nobody wants it.
pub fn delay(inner: &Inner, about: &About, open: &[u16], reply: &Reply, until_ms: u64) -> Option<Notice> {
    let attempt = Attempt::default();
    let told: Vec<Said<'_>> = open
        .iter()
        .filter_map(|index| about.envelope.recipients.get(usize::from(*index)))
        .filter(|recipient| recipient.notify.delay())
        .map(|recipient| Said {
            recipient,
            action: Action::Delayed,
            reply,
            attempt: &attempt,
            until_ms: Some(until_ms),
        })
        .collect();
    tell(inner, about, &told, &[]).pop()
}

/// A reply on one line, as the trace and the queue views show it.
pub fn reply_text(reply: &Reply) -> Cow<'static, str> {
    let code = reply.code;
    let text = match reply.enhanced {
        Some(enhanced) => format!("{code} {enhanced} {}", reply.text),
        None => format!("{code} {}", reply.text),
    };
    Cow::Owned(if text.contains('\n') { text.replace('\n', " ") } else { text })
}

/// What is said about one recipient.
#[derive(Clone, Copy)]
struct Said<'a> {
    recipient: &'a Recipient,
    action: Action,
    reply: &'a Reply,
    attempt: &'a Attempt<'a>,
    until_ms: Option<u64>,
}

impl Said<'_> {
    /// The status: what the peer said, if its class fits the action.
    fn status(&self) -> Enhanced {
        let said = self.reply.enhanced;
        match self.action {
            Action::Delivered | Action::Relayed | Action::Expanded => {
                said.filter(|e| e.class == 2).unwrap_or(Enhanced::new(2, 0, 0))
            }
            Action::Delayed => said.filter(|e| e.class == 4).unwrap_or(Enhanced::new(4, 0, 0)),
            // Expiry is 4.4.7 by its nature: a failure whose cause was never permanent.
            Action::Failed => said.filter(|e| e.class != 2).unwrap_or(Enhanced::new(5, 0, 0)),
        }
    }
}

fn tell(inner: &Inner, about: &About, told: &[Said<'_>], copied: &[Said<'_>]) -> Vec<Notice> {
    let Some(sender) = about.envelope.from.mailbox() else { return Vec::new() };
    if told.is_empty() && copied.is_empty() {
        return Vec::new();
    }
    let settings = &inner.settings;
    // RFC 3461 6.2: RET=FULL is about failures; beyond the bound, and for all else, headers do.
    let failed = told.iter().any(|said| said.action == Action::Failed);
    let full = failed && about.envelope.ret == Some(Ret::Full) && about.body.len() <= settings.full_bytes_max() as u64;
    let max = if full { settings.full_bytes_max() } else { HEADER_BYTES_MAX };
    // A body that cannot be read back is no reason to say nothing.
    let original = about.body.start(max).unwrap_or_default();
    let mark = inner.journal.read(about.accept).unwrap_or_default();
    let from = Accept::read(&mark).map_or("", |accept| accept.received_from);
    let mut notices = Vec::new();
    if !told.is_empty() {
        let original = if full { Original::Whole(&original) } else { Original::Headers(&original) };
        notices.push(notice(inner, about.id, &about.envelope, sender, told, original, from));
    }
    if !copied.is_empty() && !settings.postmaster.same(sender) {
        let original = Original::Headers(&original);
        notices.push(notice(inner, about.id, &about.envelope, &settings.postmaster, copied, original, from));
    }
    notices.iter().for_each(|(notice, word)| trace(inner, notice, word, about.id));
    notices.into_iter().map(|(notice, _)| notice).collect()
}

/// The notice about recipients that were settled before custody, and the word for what became of them; `None` if nobody wants it. It is
/// traced once it counts. `start` is the start of the message.
pub fn early(
    inner: &Inner,
    about: MessageId,
    envelope: &Envelope,
    early: &[Early],
    start: &[u8],
    received_from: &str,
) -> Option<(Notice, &'static str)> {
    let sender = envelope.from.mailbox()?;
    let (attempt, expanded) = (Attempt::default(), Reply::new(250, Enhanced::new(2, 1, 5), "the group was expanded"));
    let said: Vec<Said<'_>> = early
        .iter()
        .filter_map(|Early { recipient, outcome }| {
            let (action, wanted, reply) = match outcome {
                Settled::Expanded => (Action::Expanded, recipient.notify.success(), &expanded),
                Settled::Failed(reply) => (Action::Failed, recipient.notify.failure(), reply),
            };
            wanted.then_some(Said { recipient, action, reply, attempt: &attempt, until_ms: None })
        })
        .collect();
    let start = Original::Headers(&start[..start.len().min(EARLY_HEADER_BYTES_MAX)]);
    let made = |said: &Vec<Said<'_>>| notice(inner, about, envelope, sender, said, start, received_from);
    Some(&said).filter(|said| !said.is_empty()).map(made)
}

fn notice(
    inner: &Inner,
    about: MessageId,
    of: &Envelope,
    to: &Mailbox,
    said: &[Said<'_>],
    original: Original<'_>,
    received_from: &str,
) -> (Notice, &'static str) {
    let now_ms = inner.world.clock.wall_ms();
    let recipients: Vec<RecipientReport<'_>> = said
        .iter()
        .map(|said| RecipientReport {
            address: &said.recipient.address,
            orcpt: said.recipient.orcpt.as_deref(),
            action: said.action,
            status: said.status(),
            remote_mta: said.attempt.remote_mta,
            diagnostic: Some(said.reply),
            last_attempt_ms: Some(now_ms),
            will_retry_until_ms: said.until_ms,
        })
        .collect();
    let id = inner.name();
    let report = Report {
        id,
        about,
        reporting_mta: &inner.settings.hostname,
        from_display: &inner.settings.dsn_from_display,
        from_address: inner.settings.postmaster.as_str(),
        to,
        envid: of.envid.as_deref(),
        received_from: Some(received_from).filter(|from| !from.is_empty()),
        arrival_ms: about.unix_ms(),
        now_ms,
        recipients: &recipients,
        original,
        utf8: of.smtputf8,
    };
    let body = dsn::build(&report);
    let envelope = Envelope {
        from: ReversePath::Null,
        ret: None,
        envid: None,
        body: if dsn::needs_8bit(&report) { BodyKind::EightBitMime } else { BodyKind::SevenBit },
        smtputf8: report.utf8,
        recipients: vec![Recipient::new(to.clone())],
    };
    let mut packed = Vec::new();
    packed::pack(&envelope, &mut packed);
    let word = said.iter().map(|said| said.action).max().unwrap_or(Action::Failed).word();
    let journey = Journey::default().from(id.unix_ms(), body.len() as u64);
    let hops = inner.route(&envelope, body.len() as u64, &journey);
    let at_once = inner.book().goes_at_once(&hops);
    (Notice { id, body: Arc::new(body), envelope: Arc::new(envelope), packed, hops, at_once }, word)
}

/// Says that a notice was made.
pub fn trace(inner: &Inner, notice: &Notice, word: &str, about: MessageId) {
    let context = format!("{word}, about {about}");
    let recipients: Vec<&str> = notice.envelope.recipients.iter().map(|to| to.address.as_str()).collect();
    let mut event = mail::Event::new(EventKind::Dsn, Some(notice.id));
    event.sender = Some(&ReversePath::Null);
    event.recipients = &recipients;
    event.size_bytes = notice.body.len() as u64;
    event.context = &context;
    inner.recorder.record(&event);
}

/// The same for what is settled before custody: message, envelope and notice share a batch.
const EARLY_HEADER_BYTES_MAX: usize = 16 << 10;

/// Of a longer header only the start is given back.
const HEADER_BYTES_MAX: usize = 64 << 10;
