//! What is told about sessions: RECEIVE and REFUSE events, metrics. Each thing once.

use super::incoming::Taken;
use super::visitor::Visitor;
use super::wire::End;
use mail::{Event, EventKind, Recorder, Reply, ReversePath};
use metrics::{Counter, Gauge, SharedString, counter, describe_counter, describe_gauge, gauge};
use std::fmt::Write;
use std::sync::Arc;

/// Says what the metrics of this module mean. Once, after the recorder was installed.
pub fn describe() {
    describe_counter!("posthouse_accepted_messages_total", "Messages taken into custody, by receive connector.");
    describe_counter!("posthouse_accepted_bytes_total", "Content bytes taken into custody, by receive connector.");
    describe_counter!(
        "posthouse_unprotected_messages_total",
        "Messages taken with fewer copies than their receive connector asks for."
    );
    describe_counter!(
        "posthouse_refused_total",
        "Connections, logons, senders, recipients and messages refused, by reason."
    );
    describe_counter!("posthouse_connections_total", "Connections let in, by receive connector.");
    describe_gauge!("posthouse_connections", "Connections open now, by receive connector.");
    describe_counter!("posthouse_tls_sessions_total", "TLS handshakes made as a server, by version.");
    describe_counter!("posthouse_tls_failures_total", "TLS handshakes that failed.");
    describe_counter!(
        "posthouse_probe_sessions_total",
        "Sessions of balancers that ask how we are, by what they heard."
    );
    describe_counter!("posthouse_logons_total", "Successful AUTH exchanges.");
}

/// Why something was refused: the label in metrics, the first word in the event's context.
pub type Reason = &'static str;

/// Counts something refused that has no session (yet), and records it.
pub fn turned_away(recorder: &dyn Recorder, peer: &str, reason: Reason, reply: &Reply) {
    counter!("posthouse_refused_total", "reason" => reason).increment(1);
    let (reply, event) = (reply.to_string(), Event::new(EventKind::Refuse, None));
    recorder.record(&Event { peer, reply: &reply, context: reason, ..event });
}

/// Counts a server of the organization whose certificate is good and that is refused all the same, and records it.
pub fn server_refused(recorder: &dyn Recorder, visitor: &Visitor, name: &str, reason: Reason, reply: &Reply) {
    counter!("posthouse_refused_total", "reason" => reason).increment(1);
    let (reply, context) = (reply.to_string(), format!("{reason} server={name} tls={}", visitor.tls));
    let (peer, via) = (&visitor.peer_text, &visitor.connector.name);
    recorder.record(&Event { peer, via, reply: &reply, context: &context, ..Event::new(EventKind::Refuse, None) });
}

/// A handshake with certificates of the organization was not made. `claimed` is the node of the certificate, which proves nothing.
pub fn no_handshake(recorder: &dyn Recorder, visitor: &Visitor, claimed: &str, why: &str) {
    counter!("posthouse_tls_failures_total").increment(1);
    counter!("posthouse_refused_total", "reason" => "link_certificate").increment(1);
    let claims = if claimed.is_empty() { String::new() } else { format!(" claims={claimed}") };
    let context = format!("link_certificate{claims} {why}");
    let (peer, via) = (&visitor.peer_text, &visitor.connector.name);
    recorder.record(&Event { peer, via, context: &context, ..Event::new(EventKind::Refuse, None) });
}

/// A handshake was made; `tls` is what [`crate::tls::describe`] says of it.
pub fn handshake(tls: &str) {
    let version = if tls.starts_with("TLSv1.3") { "1.3" } else { "1.2" };
    counter!("posthouse_tls_sessions_total", "version" => version).increment(1);
}

/// A handshake was not made.
pub fn handshake_failed(peer: &str, end: &End) {
    tracing::debug!(peer, ?end, "TLS handshake failed");
    counter!("posthouse_tls_failures_total").increment(1);
}

/// The counters of one session. Dropped, the connection counts as closed.
pub struct Reporter {
    recorder: Arc<dyn Recorder>,
    accepted_messages: Counter,
    accepted_bytes: Counter,
    unprotected: Counter,
    open: Gauge,
    context: String,
    /// A probe: nothing is counted and nothing is recorded.
    is_silent: bool,
}

impl Reporter {
    /// A connection on the connector of that name was let in.
    pub fn new(recorder: Arc<dyn Recorder>, connector: &Arc<str>) -> Reporter {
        let connector = || SharedString::from(connector.clone());
        counter!("posthouse_connections_total", "connector" => connector()).increment(1);
        let open = gauge!("posthouse_connections", "connector" => connector());
        open.increment(1);
        Reporter {
            recorder,
            accepted_messages: counter!("posthouse_accepted_messages_total", "connector" => connector()),
            accepted_bytes: counter!("posthouse_accepted_bytes_total", "connector" => connector()),
            unprotected: counter!("posthouse_unprotected_messages_total", "connector" => connector()),
            open,
            context: String::new(),
            is_silent: false,
        }
    }

    /// For a probe: it tells nobody.
    pub fn silent(recorder: Arc<dyn Recorder>) -> Reporter {
        Reporter {
            recorder,
            accepted_messages: Counter::noop(),
            accepted_bytes: Counter::noop(),
            unprotected: Counter::noop(),
            open: Gauge::noop(),
            context: String::new(),
            is_silent: true,
        }
    }

    /// A message is in our custody.
    pub fn received(&mut self, visitor: &Visitor, sender: &ReversePath, recipients: &[&str], taken: &Taken) {
        self.accepted_messages.increment(1);
        self.accepted_bytes.increment(taken.size_bytes);
        self.describe(visitor, if taken.unprotected { "unprotected" } else { "" });
        if taken.unprotected {
            self.unprotected.increment(1);
        }
        if taken.receipt.copies() > 0 {
            let _ = write!(self.context, " copies={}", taken.receipt.copies());
        }
        if !taken.message_id.is_empty() {
            let _ = write!(self.context, " message-id={}", taken.message_id);
        }
        self.recorder.record(&Event {
            sender: Some(sender),
            recipients,
            size_bytes: taken.size_bytes,
            peer: &visitor.peer_text,
            via: &visitor.connector.name,
            reply: "250",
            context: self.context.trim_start(),
            ..Event::new(EventKind::Receive, Some(taken.receipt.id()))
        });
    }

    /// Records an event that counts in no metric.
    pub fn record(&self, event: &Event<'_>) {
        self.recorder.record(event);
    }

    /// A sender, a recipient, a logon or a message was refused.
    pub fn refused(
        &mut self,
        visitor: &Visitor,
        reason: Reason,
        sender: Option<&ReversePath>,
        recipients: &[&str],
        reply: &Reply,
    ) {
        if self.is_silent {
            return;
        }
        counter!("posthouse_refused_total", "reason" => reason).increment(1);
        self.describe(visitor, reason);
        let reply = reply.to_string();
        self.recorder.record(&Event {
            sender,
            recipients,
            peer: &visitor.peer_text,
            via: &visitor.connector.name,
            reply: &reply,
            context: &self.context,
            ..Event::new(EventKind::Refuse, None)
        });
    }

    /// Writes what is known of the visitor into `context`, behind `reason`.
    fn describe(&mut self, visitor: &Visitor, reason: Reason) {
        self.context.clear();
        self.context.push_str(reason);
        let (user, server) = (visitor.user(), visitor.server());
        for (word, value) in
            [(" helo=", &*visitor.helo), (" tls=", &visitor.tls), (" user=", user), (" server=", server)]
        {
            if !value.is_empty() {
                self.context.push_str(word);
                self.context.push_str(value);
            }
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}
