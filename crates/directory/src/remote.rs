//! What is allowed towards domains that are not ours.

use std::sync::Arc;

/// `[[remote_domain]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteDomain {
    /// `example.org`, `*.example.org`, `*`; lower case.
    pub domains: Vec<Arc<str>>,
    /// Mailboxes may forward there.
    pub auto_forward: bool,
    /// Senders there are told what became of their mail.
    pub notifications: bool,
    /// Answers of robots may go there.
    pub automatic_replies: bool,
}
