//! The table of familiar verbs: what people who come from other systems type, and which verb of ours does it.

/// A familiar verb.
pub struct Row {
    /// `Get-Queue`.
    pub familiar: &'static str,
    /// What does it here.
    pub ours: Ours,
}

/// A verb of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// Things field by field: `queue`, `message`, `trace`, `node`, `copy`, or a kind of object.
    Fields(&'static str),
    /// `posthouse org VERB KIND NAME ...`.
    Object(&'static str, &'static str),
    /// These words, with the identity behind them.
    Words(&'static str),
    /// These words, and no identity.
    Alone(&'static str),
}

use Ours::{Alone, Fields, Object, Words};

impl Ours {
    /// As one types it.
    pub fn typed(self) -> String {
        match self {
            Fields("queue") => "posthouse queue list".into(),
            Fields("message") => "posthouse message list".into(),
            Fields("trace") => "posthouse trace".into(),
            Fields("node") => "posthouse node list".into(),
            Fields("copy") => "posthouse journal list".into(),
            Fields(kind) => format!("posthouse org get {kind} [NAME]"),
            Object("test", kind) => format!("posthouse org test {kind} [NAME]"),
            Object("remove", kind) => format!("posthouse org remove {kind} NAME"),
            Object(verb, kind @ ("retry" | "message_limits" | "organization")) => {
                format!("posthouse org {verb} {kind} KEY=VALUE")
            }
            Object(verb, kind) => format!("posthouse org {verb} {kind} NAME KEY=VALUE"),
            Words(words) => format!("posthouse {words} IDENTITY"),
            Alone(words) => format!("posthouse {words}"),
        }
    }
}

const fn row(familiar: &'static str, ours: Ours) -> Row {
    Row { familiar, ours }
}

/// All of them, by noun.
pub const TABLE: &[Row] = &[
    row("Get-Queue", Fields("queue")),
    row("Get-QueueDigest", Fields("queue")),
    row("Retry-Queue", Words("queue retry")),
    row("Suspend-Queue", Words("queue suspend")),
    row("Resume-Queue", Words("queue resume")),
    row("Get-Message", Fields("message")),
    row("Suspend-Message", Words("message suspend")),
    row("Resume-Message", Words("message resume")),
    row("Remove-Message", Words("message remove")),
    row("Retry-Message", Words("message retry")),
    row("Export-Message", Words("message export")),
    row("Redirect-Message", Words("message redirect")),
    row("Get-MessageTrackingLog", Fields("trace")),
    row("Search-MessageTrackingReport", Fields("trace")),
    row("Search-AdminAuditLog", Alone("audit --long")),
    row("Get-TransportServer", Fields("node")),
    row("Get-TransportService", Fields("node")),
    row("Get-ExchangeServer", Fields("node")),
    row("Get-MailboxServer", Fields("node")),
    row("Set-TransportServer", Object("set", "retry")),
    row("Set-TransportService", Object("set", "retry")),
    row("Get-ClusteredMailboxServerStatus", Alone("cluster status")),
    row("Move-ClusteredMailboxServer", Words("node drain --hand-over")),
    row("Stop-ClusteredMailboxServer", Words("node drain")),
    row("Start-ClusteredMailboxServer", Words("node resume")),
    row("Get-NlbCluster", Alone("service list")),
    row("Get-NlbClusterNode", Alone("service list")),
    row("Stop-NlbClusterNode", Words("service drain")),
    row("Suspend-NlbClusterNode", Words("service drain")),
    row("Start-NlbClusterNode", Words("service resume")),
    row("Resume-NlbClusterNode", Words("service resume")),
    row("Get-StorageGroupCopyStatus", Fields("copy")),
    row("Get-MailboxDatabaseCopyStatus", Fields("copy")),
    row("Test-ReplicationHealth", Alone("cluster status")),
    row("Test-ServiceHealth", Alone("status")),
    row("Test-SmtpConnectivity", Object("test", "receive_connector")),
    row("Get-ReceiveConnector", Fields("receive_connector")),
    row("New-ReceiveConnector", Object("new", "receive_connector")),
    row("Set-ReceiveConnector", Object("set", "receive_connector")),
    row("Remove-ReceiveConnector", Object("remove", "receive_connector")),
    row("Get-SendConnector", Fields("send_connector")),
    row("New-SendConnector", Object("new", "send_connector")),
    row("Set-SendConnector", Object("set", "send_connector")),
    row("Remove-SendConnector", Object("remove", "send_connector")),
    row("Test-SendConnector", Object("test", "send_connector")),
    row("Get-AcceptedDomain", Fields("accepted_domain")),
    row("New-AcceptedDomain", Object("new", "accepted_domain")),
    row("Set-AcceptedDomain", Object("set", "accepted_domain")),
    row("Remove-AcceptedDomain", Object("remove", "accepted_domain")),
    row("Get-RemoteDomain", Fields("remote_domain")),
    row("New-RemoteDomain", Object("new", "remote_domain")),
    row("Set-RemoteDomain", Object("set", "remote_domain")),
    row("Remove-RemoteDomain", Object("remove", "remote_domain")),
    row("Get-TransportConfig", Fields("message_limits")),
    row("Set-TransportConfig", Object("set", "message_limits")),
    row("Get-TransportRule", Fields("rule")),
    row("New-TransportRule", Object("new", "rule")),
    row("Set-TransportRule", Object("set", "rule")),
    row("Remove-TransportRule", Object("remove", "rule")),
    row("Get-AdSite", Fields("site")),
    row("Set-AdSite", Object("set", "site")),
    row("Get-AdSiteLink", Fields("site_link")),
    row("Set-AdSiteLink", Object("set", "site_link")),
    row("Get-Recipient", Fields("recipient")),
    row("Get-Mailbox", Fields("recipient")),
    row("New-Mailbox", Object("new", "recipient")),
    row("Set-Mailbox", Object("set", "recipient")),
    row("Remove-Mailbox", Object("remove", "recipient")),
    row("Get-DistributionGroup", Fields("group")),
    row("New-DistributionGroup", Object("new", "group")),
    row("Set-DistributionGroup", Object("set", "group")),
    row("Remove-DistributionGroup", Object("remove", "group")),
    row("Get-MailContact", Fields("contact")),
    row("New-MailContact", Object("new", "contact")),
    row("Set-MailContact", Object("set", "contact")),
    row("Remove-MailContact", Object("remove", "contact")),
    row("Get-User", Fields("user")),
];
