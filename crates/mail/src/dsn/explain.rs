//! The words for a person: subject and text of a notification, and what a status code means to who sent the mail.

use super::{Action, Original, RecipientReport, Report, one_line};
use crate::date::Rfc5322;
use crate::header::HeaderFacts;
use crate::reply::Enhanced;
use alloc::format;
use alloc::string::String;

/// The Subject field's text: the worst that happened, and to whom.
pub fn subject(report: &Report<'_>) -> String {
    let what = match worst(report) {
        Action::Failed => "Mail not delivered",
        Action::Delayed => "Mail delayed",
        Action::Expanded => "Mail sent on to a list",
        Action::Relayed => "Mail handed on",
        Action::Delivered => "Mail delivered",
    };
    match report.recipients {
        [one] => format!("{what}: {}", one_line(one.address.as_str(), report.utf8)),
        several => format!("{what}: {} recipients", several.len()),
    }
}

/// The first part of the report, every line ended by CRLF.
pub fn text(report: &Report<'_>, facts: &HeaderFacts) -> String {
    let mut out = Text(String::new());
    out.line(&format!("This is the mail system at {}.", report.reporting_mta));
    out.line("");
    for action in [Action::Failed, Action::Delayed, Action::Expanded, Action::Relayed, Action::Delivered] {
        let mut concerned = report.recipients.iter().filter(|r| r.action == action).peekable();
        if concerned.peek().is_none() {
            continue;
        }
        out.wrapped("", opening(action));
        out.line("");
        concerned.for_each(|recipient| about_recipient(&mut out, report, recipient));
    }
    out.line("The message:");
    if let Some(subject) = facts.subject.as_deref().filter(|s| !s.is_empty()) {
        out.wrapped("  ", &format!("Subject: {}", short(subject)));
    }
    if let Some(id) = facts.message_id.as_deref().filter(|s| !s.is_empty()) {
        out.wrapped("  ", &format!("Message-ID: {}", short(id)));
    }
    out.line(&format!("  Received here: {}", Rfc5322(report.arrival_ms)));
    out.line("");
    let given_back = match report.original {
        Original::Headers(_) => "Its headers are attached.",
        Original::Whole(_) => "It is attached.",
    };
    let ask = format!("{given_back} If you ask your postmaster for help, name this message: {}", report.about);
    out.wrapped("", &ask);
    out.0
}

fn worst(report: &Report<'_>) -> Action {
    report.recipients.iter().map(|r| r.action).max().unwrap_or(Action::Failed)
}

fn opening(action: Action) -> &'static str {
    match action {
        Action::Failed => {
            "Your message could not be delivered to the recipients below. We have given up; nothing more will be tried."
        }
        Action::Delayed => {
            "Your message has not been delivered yet to the recipients below. You need not send it again: we go on trying."
        }
        Action::Expanded => "Your message was sent on to the members of these lists:",
        Action::Relayed => {
            "Your message was handed on for these recipients. The server that took it will not confirm delivery:"
        }
        Action::Delivered => "Your message was delivered to:",
    }
}

fn about_recipient(out: &mut Text, report: &Report<'_>, recipient: &RecipientReport<'_>) {
    out.line(&format!("  <{}>", one_line(recipient.address.as_str(), report.utf8)));
    if matches!(recipient.action, Action::Failed | Action::Delayed) {
        out.wrapped("    ", meaning(recipient.status, recipient.action));
        if let Some(reply) = recipient.diagnostic {
            match recipient.remote_mta {
                Some(host) => out.wrapped("    ", &format!("The server {} said:", short(host))),
                None => out.line("    The reason in detail:"),
            }
            out.wrapped("      ", &one_line(&format!("{reply}"), report.utf8));
        }
    }
    if let (Action::Delayed, Some(until)) = (recipient.action, recipient.will_retry_until_ms) {
        out.line(&format!("    We try until {}.", Rfc5322(until)));
    }
    out.line("");
}

/// What a status code means for the person who sent the message, and what to do (RFC 3463 3).
fn meaning(status: Enhanced, action: Action) -> &'static str {
    let temporary = action == Action::Delayed;
    match (status.subject, status.detail) {
        (1, 1 | 3 | 6) => "There is no such mailbox. Check the address for a typing error and send the message again.",
        (1, 2 | 10) => {
            "The part behind the @ is no domain that takes mail. Check it for a typing error and send the message again."
        }
        (1, 7 | 8) => "The server does not accept your own sender address. Ask your postmaster.",
        (2, 1) => "The mailbox is switched off. Ask the recipient for another address.",
        (2, 2) => "The mailbox is full. Ask the recipient to make room, then send the message again.",
        (2, 3) | (3, 4) => "The message is too big. Send less, or send a link to the file.",
        (4, 6) => {
            "The message was going round in a circle between servers. This is an error in their setup: tell your postmaster."
        }
        (4, 7) => {
            "It could not be delivered in the time that mail is kept for. Send it again later, or reach the recipient another way."
        }
        (4, 4) => {
            "No way is known to the servers for this domain. Check it for a typing error; if it is right, ask your postmaster."
        }
        (3, 1) | (4, 1 | 2 | 3 | 5) if temporary => {
            "The recipient's mail server cannot be reached or does not answer at the moment."
        }
        (3, 1) | (4, 1 | 2 | 3 | 5) => "The recipient's mail server could not be reached.",
        (6, 7 | 9) => {
            "The recipient's server cannot handle addresses with letters beyond plain English ones. Use another address."
        }
        (6, _) => "The recipient's server does not accept the form of this message.",
        (7, 10..=13 | 4..=6) => "The servers could not agree on a secure connection. Ask your postmaster.",
        (7, _) if temporary => {
            "The recipient's server wants to see the message again later; that is usual and needs nothing from you."
        }
        (7, _) => "The recipient's server refuses this message by its rules. Its answer below may say why.",
        _ if temporary => "The recipient's server does not take it at the moment.",
        _ => "The recipient's server refused it. Its answer below may say why.",
    }
}

fn short(text: &str) -> String {
    one_line(text, true).chars().take(300).collect()
}

/// Lines ended by CRLF.
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\r\n");
    }

    /// Wraps at 72 characters, every line indented; a longer word stands alone, cut at what RFC 5322 2.1.1 allows.
    fn wrapped(&mut self, indent: &str, text: &str) {
        let mut line = String::from(indent);
        for word in text.split_whitespace() {
            let word: String = word.chars().take(200).collect();
            let fresh = line.len() == indent.len();
            if !fresh && line.len() + 1 + word.len() > 72 {
                self.line(&line);
                line.truncate(indent.len());
            } else if !fresh {
                line.push(' ');
            }
            line.push_str(&word);
        }
        self.line(&line);
    }
}
