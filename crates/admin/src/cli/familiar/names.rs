//! Familiar names of settings, and ours. What is not in the table goes by its words: `MaxHopCount` is `max_hop_count`.

use directory::settings::{Default, Kind, Section};

/// Which kind, the familiar name, our key.
const NAMES: &[(&str, &[(&str, &str)])] = &[
    (
        "receive_connector",
        &[
            ("Bindings", "listen"),
            ("RemoteIPRanges", "remote"),
            ("PermissionGroups", "permissions"),
            ("AuthMechanism", "auth"),
            ("Fqdn", "hostname"),
            ("MaxMessageSize", "message_size_max"),
            ("MaxHeaderSize", "header_size_max"),
            ("MaxRecipientsPerMessage", "recipients_max"),
            ("MaxInboundConnection", "connections_max"),
            ("MaxInboundConnectionPerSource", "connections_per_source_max"),
            ("MaxInboundConnectionPercentagePerSource", "connections_per_source_percent_max"),
            ("MessageRateLimit", "message_rate_per_minute"),
            ("MaxProtocolErrors", "errors_max"),
            ("MaxLogonFailures", "logon_failures_max"),
            ("ConnectionInactivityTimeout", "idle_timeout"),
            ("ConnectionTimeout", "session_timeout"),
            ("MaxHopCount", "hops_max"),
            ("Server", "servers"),
        ],
    ),
    (
        "send_connector",
        &[
            ("AddressSpaces", "domains"),
            ("SmartHosts", "smart_hosts"),
            ("DNSRoutingEnabled", "mx"),
            ("Fqdn", "hello"),
            ("SourceIPAddress", "source"),
            ("SourceTransportServers", "servers"),
            ("MaxMessageSize", "message_size_max"),
            ("ConnectionInactivityTimeOut", "idle_timeout"),
            ("SmtpMaxMessagesPerConnection", "messages_per_connection"),
        ],
    ),
    ("accepted_domain", &[("DomainName", "name"), ("DomainType", "type")]),
    (
        "retry",
        &[
            ("QueueGlitchRetryCount", "glitch_count"),
            ("QueueGlitchRetryInterval", "glitch_interval"),
            ("TransientFailureRetryCount", "transient_count"),
            ("TransientFailureRetryInterval", "transient_interval"),
            ("OutboundConnectionFailureRetryInterval", "interval"),
            ("MessageRetryInterval", "message_retry_interval"),
            ("DelayNotificationTimeout", "delay_notice_after"),
            ("MessageExpirationTimeout", "expire_after"),
            ("PoisonThreshold", "poison_after"),
        ],
    ),
    (
        "message_limits",
        &[
            ("MaxReceiveSize", "message_size_max"),
            ("MaxSendSize", "message_size_max"),
            ("MaxRecipientEnvelopeLimit", "recipients_max"),
        ],
    ),
    ("site", &[("HubSiteEnabled", "hub_site")]),
    ("site_link", &[("ExchangeCost", "cost"), ("ADCost", "cost"), ("MaxMessageSize", "message_size_max")]),
    ("group", &[("Members", "members"), ("PrimarySmtpAddress", "address")]),
    ("contact", &[("ExternalEmailAddress", "target")]),
    ("recipient", &[("ForwardingAddress", "forward_to"), ("PrimarySmtpAddress", "address")]),
];

fn names(section: &Section) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let name = section.name;
    NAMES.iter().filter(move |(kind, _)| *kind == name).flat_map(|(_, names)| names.iter())
}

/// Our key for a familiar parameter. Whether there is such a key is looked at where it is used.
pub fn key(section: &Section, parameter: &str) -> String {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let named = names(section)
        .find(|(familiar, key)| familiar.eq_ignore_ascii_case(parameter) && section.setting(key).is_some());
    let own =
        || section.settings.iter().find(|setting| plain(setting.key) == plain(parameter)).map(|setting| setting.key);
    named.map(|(_, key)| *key).or_else(own).map_or_else(|| snake(parameter), String::from)
}

/// What a key is called in a familiar listing.
pub fn familiar(section: &Section, key: &str) -> String {
    match names(section).find(|(_, own)| *own == key) {
        Some((familiar, _)) => (*familiar).into(),
        None => camel(key),
    }
}

/// A value as people type it elsewhere: `unlimited` is 0 where that stands for no bound.
pub fn value<'v>(section: &Section, key: &str, value: &'v str) -> &'v str {
    let bound = section.setting(key).is_some_and(|setting| {
        matches!(setting.kind, Kind::Count(0, _) | Kind::Duration(0, _)) && setting.default != Default::Needed
    });
    if bound && value.eq_ignore_ascii_case("unlimited") { "0" } else { value }
}

/// `next_hop_domain` as `NextHopDomain`.
pub fn camel(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    key.split('_').map(word).collect()
}

fn snake(parameter: &str) -> String {
    let mut out = String::new();
    let mut before_is_small = false;
    for letter in parameter.chars() {
        if letter.is_ascii_uppercase() && before_is_small {
            out.push('_');
        }
        before_is_small = letter.is_ascii_lowercase();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_names_are_ours_by_table_or_by_their_words() {
        let of = |kind: &str| directory::objects::kind(kind).unwrap_or(&directory::settings::ORG[0]);
        let receive = of("receive_connector");
        for (familiar_name, ours) in [
            ("Bindings", "listen"),
            ("RemoteIPRanges", "remote"),
            ("maxmessagesize", "message_size_max"),
            ("Banner", "banner"),
            ("BareNewline", "bare_newline"),
            ("SomethingElse", "something_else"),
        ] {
            assert_eq!(key(receive, familiar_name), ours);
        }
        assert_eq!(
            (familiar(receive, "listen"), familiar(receive, "bare_newline")),
            ("Bindings".into(), "BareNewline".into())
        );
        assert_eq!(value(receive, "message_rate_per_minute", "Unlimited"), "0");
        assert_eq!(value(receive, "banner", "unlimited"), "unlimited");
    }
}
