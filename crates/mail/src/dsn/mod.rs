//! Delivery status notifications: multipart/report (RFC 3462) around message/delivery-status (RFC 3464), with the UTF-8 forms of
//! RFC 6533, and a text part that tells a person what happened and what to do.
//!
//! Decides nothing: who is told what and when is the spool's. What strangers said (replies, ORCPT, ENVID, the original) is
//! written so that it can break neither a field nor a part.

mod explain;

use crate::address::Mailbox;
use crate::date::Rfc5322;
use crate::firewall::{Drops, Firewall};
use crate::header::{self, HeaderFacts, Scanner};
use crate::id::MessageId;
use crate::reply::{Enhanced, Reply};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// One notification, about one message and some of its recipients.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Name of the notification itself: its Message-ID and boundary are made from it, so it must be freshly drawn.
    pub id: MessageId,
    /// Name of the message that this is about, as our logs know it.
    pub about: MessageId,
    /// Our host name.
    pub reporting_mta: &'a str,
    /// Who the notification says it is from, for example `Mail Delivery System`.
    pub from_display: &'a str,
    /// The address in its From field, for example `postmaster@mx1.example.net` (the envelope sender is always `<>`).
    pub from_address: &'a str,
    /// Whom it goes to: the sender of the original, or a postmaster who gets a copy.
    pub to: &'a Mailbox,
    /// ENVID= of the original, decoded.
    pub envid: Option<&'a str>,
    /// The host that gave us the original, as it named itself.
    pub received_from: Option<&'a str>,
    /// When the original came, Unix milliseconds.
    pub arrival_ms: u64,
    /// Now, Unix milliseconds.
    pub now_ms: u64,
    /// The recipients that this is about, at least one.
    pub recipients: &'a [RecipientReport<'a>],
    /// What is given back of the original.
    pub original: Original<'a>,
    /// The original came with SMTPUTF8: the notification uses the types of RFC 6533 and must be sent with SMTPUTF8 too.
    pub utf8: bool,
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug)]
pub struct RecipientReport<'a> {
    /// The recipient as we tried it.
    pub address: &'a Mailbox,
    /// ORCPT= as `type;address`, decoded.
    pub orcpt: Option<&'a str>,
    /// What became of it.
    pub action: Action,
    /// The status that says why (RFC 3463).
    pub status: Enhanced,
    /// The next hop that answered, by name.
    pub remote_mta: Option<&'a str>,
    /// Its answer, or ours where no peer was heard.
    pub diagnostic: Option<&'a Reply>,
    /// The last attempt, Unix milliseconds.
    pub last_attempt_ms: Option<u64>,
    /// For a delay: when we give up, Unix milliseconds.
    pub will_retry_until_ms: Option<u64>,
}

/// The action of RFC 3464 2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Reached its mailbox.
    Delivered,
    /// Handed to a host that does not tell what becomes of it.
    Relayed,
    /// Went to the members of a list.
    Expanded,
    /// Late; we go on trying.
    Delayed,
    /// Given up.
    Failed,
}

/// What a notification gives back of the original (RET= of RFC 3461).
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// Its header only; whatever stands behind the header in these bytes is left out.
    Headers(&'a [u8]),
    /// All of it.
    Whole(&'a [u8]),
}

/// A notification in the two pieces that stand before and behind the original's bytes, for who streams the original between them (through
/// a [`Firewall`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Everything before the original's bytes.
    pub head: Vec<u8>,
    /// Everything behind them; the original must end with CRLF, or one must be put before this.
    pub tail: Vec<u8>,
}

impl Action {
    /// The word in the `Action` field.
    pub fn word(self) -> &'static str {
        match self {
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
            Action::Delayed => "delayed",
            Action::Failed => "failed",
        }
    }
}

/// The whole notification, CRLF at every line end; what the organization says in the original's header is left out, for the
/// notification may leave it (behaviours 2.7). It is 8-bit where the original or `utf8` makes it so: see [`needs_8bit`].
pub fn build(report: &Report<'_>) -> Vec<u8> {
    let Frame { mut head, tail } = frame(report);
    let original = original_bytes(report);
    head.reserve(original.len() + tail.len() + 2);
    let before = head.len();
    extend_without_organization(&mut head, original);
    if head.len() > before && !head.ends_with(b"\r\n") {
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(&tail);
    head
}

fn extend_without_organization(out: &mut Vec<u8>, original: &[u8]) {
    let mut firewall = Firewall::new(Drops { organization: true, routing: false });
    let mut rest = original;
    while let Some(piece) = firewall.next(&mut rest) {
        if !piece.is_dropped {
            out.extend_from_slice(piece.rest);
        }
    }
    out.extend_from_slice(&firewall.finish());
}

/// Head and tail of the notification. For [`Original::Whole`] the header of the original is enough to make them, if `needs_8bit`
/// need not be exact: a whole original is always declared 8bit.
pub fn frame(report: &Report<'_>) -> Frame {
    let facts = facts(report.original);
    let boundary = format!("=_{}", report.id);
    let mut out = Vec::with_capacity(2048);
    write_header(&mut out, report, &boundary);
    line(&mut out, "");
    line(&mut out, "This is a delivery status notification in MIME format.");
    line(&mut out, "");

    line(&mut out, &format!("--{boundary}"));
    line(&mut out, "Content-Type: text/plain; charset=utf-8");
    line(&mut out, &format!("Content-Transfer-Encoding: {}", if report.utf8 { "8bit" } else { "7bit" }));
    line(&mut out, "Content-Description: Notification");
    line(&mut out, "");
    let text = explain::text(report, &facts);
    out.extend_from_slice(if report.utf8 { text } else { ascii(&text) }.as_bytes());

    line(&mut out, "");
    line(&mut out, &format!("--{boundary}"));
    let kind = if report.utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
    line(&mut out, &format!("Content-Type: {kind}"));
    line(&mut out, "Content-Description: Delivery report");
    line(&mut out, "");
    write_status(&mut out, report);

    line(&mut out, "");
    line(&mut out, &format!("--{boundary}"));
    write_original_header(&mut out, report, &facts);
    line(&mut out, "");
    Frame { head: out, tail: format!("\r\n--{boundary}--\r\n").into_bytes() }
}

/// The notification holds bytes above 127 (or may: a whole original is not searched), so it goes out with BODY=8BITMIME.
pub fn needs_8bit(report: &Report<'_>) -> bool {
    report.utf8 || matches!(report.original, Original::Whole(_)) || facts(report.original).eight_bit
}

fn original_bytes<'a>(report: &Report<'a>) -> &'a [u8] {
    match report.original {
        Original::Whole(bytes) => bytes,
        Original::Headers(bytes) => header::block(bytes),
    }
}

fn facts(original: Original<'_>) -> HeaderFacts {
    let (Original::Headers(bytes) | Original::Whole(bytes)) = original;
    let mut scanner = Scanner::new();
    scanner.feed(bytes);
    scanner.finish().clone()
}

fn write_header(out: &mut Vec<u8>, report: &Report<'_>, boundary: &str) {
    let display = one_line(report.from_display, report.utf8).replace(['"', '\\'], "'");
    line(out, &format!("From: \"{display}\" <{}>", report.from_address));
    line(out, &format!("To: <{}>", report.to));
    line(out, &format!("Subject: {}", explain::subject(report)));
    line(out, &format!("Date: {}", Rfc5322(report.now_ms)));
    line(out, &format!("Message-ID: <{}@{}>", report.id, report.reporting_mta));
    // RFC 3834 5: nobody's robot may answer this.
    line(out, "Auto-Submitted: auto-replied");
    line(out, "MIME-Version: 1.0");
    line(out, "Content-Type: multipart/report; report-type=delivery-status;");
    line(out, &format!("\tboundary=\"{boundary}\""));
    if needs_8bit(report) {
        line(out, "Content-Transfer-Encoding: 8bit");
    }
}

/// The fields of RFC 3464 2.2 and 2.3.
fn write_status(out: &mut Vec<u8>, report: &Report<'_>) {
    line(out, &format!("Reporting-MTA: dns; {}", report.reporting_mta));
    if let Some(envid) = report.envid {
        folded(out, "Original-Envelope-Id: ", &one_line(envid, report.utf8));
    }
    if let Some(host) = report.received_from.filter(|host| !host.is_empty()) {
        folded(out, "Received-From-MTA: dns; ", &one_line(host, report.utf8));
    }
    line(out, &format!("Arrival-Date: {}", Rfc5322(report.arrival_ms)));
    line(out, &format!("X-Posthouse-Message: {}", report.about));
    for recipient in report.recipients {
        line(out, "");
        if let Some(orcpt) = recipient.orcpt {
            let (kind, address) = orcpt.split_once(';').unwrap_or(("rfc822", orcpt));
            folded(out, &format!("Original-Recipient: {}; ", token(kind)), &one_line(address, report.utf8));
        }
        let kind = if recipient.address.needs_utf8() { "utf-8" } else { "rfc822" };
        line(out, &format!("Final-Recipient: {kind}; {}", one_line(recipient.address.as_str(), report.utf8)));
        line(out, &format!("Action: {}", recipient.action.word()));
        line(out, &format!("Status: {}", recipient.status));
        if let Some(host) = recipient.remote_mta {
            folded(out, "Remote-MTA: dns; ", &one_line(host, report.utf8));
        }
        if let Some(reply) = recipient.diagnostic {
            folded(out, "Diagnostic-Code: smtp; ", &one_line(&format!("{reply}"), report.utf8));
        }
        if let Some(at) = recipient.last_attempt_ms {
            line(out, &format!("Last-Attempt-Date: {}", Rfc5322(at)));
        }
        if let (Some(until), Action::Delayed) = (recipient.will_retry_until_ms, recipient.action) {
            line(out, &format!("Will-Retry-Until: {}", Rfc5322(until)));
        }
    }
}

fn write_original_header(out: &mut Vec<u8>, report: &Report<'_>, facts: &HeaderFacts) {
    let (kind, what, eight_bit) = match (report.original, report.utf8) {
        (Original::Headers(_), false) => ("text/rfc822-headers", "Headers of the message", facts.eight_bit),
        (Original::Headers(_), true) => ("message/global-headers", "Headers of the message", true),
        (Original::Whole(_), false) => ("message/rfc822", "The message", true),
        (Original::Whole(_), true) => ("message/global", "The message", true),
    };
    line(out, &format!("Content-Type: {kind}"));
    line(out, &format!("Content-Description: {what}"));
    if eight_bit {
        line(out, "Content-Transfer-Encoding: 8bit");
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A field whose value may be long: folded before a space once a line passes 76 characters, cut hard where no space comes.
fn folded(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut width = name.len();
    let mut text = String::from(name);
    for (i, word) in value.split(' ').enumerate() {
        if i > 0 && width + 1 + word.len() > LINE_MAX {
            // A fold stands for the space that it replaces; an empty word would make a line of nothing but white space.
            text.push_str(if word.is_empty() { " " } else { "\r\n " });
            width = if word.is_empty() { width + 1 } else { 1 };
        } else if i > 0 {
            text.push(' ');
            width += 1;
        }
        let word: String = word.chars().take(WORD_MAX).collect();
        width += word.len();
        text.push_str(&word);
    }
    line(out, text.trim_end());
}

/// A value on one line: control characters become spaces, so do characters above ASCII unless `utf8`; bounded.
fn one_line(text: &str, utf8: bool) -> String {
    let keep = |c: char| match c {
        _ if c.is_control() => ' ',
        _ if c.is_ascii() || utf8 => c,
        _ => '?',
    };
    text.chars().take(VALUE_MAX).map(keep).collect()
}

fn token(text: &str) -> String {
    let kept: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
    if kept.is_empty() { String::from("rfc822") } else { kept }
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

const LINE_MAX: usize = 76;
/// RFC 5322 2.1.1 allows 998 characters a line.
const WORD_MAX: usize = 900;
const VALUE_MAX: usize = 4000;

#[cfg(test)]
mod tests;
