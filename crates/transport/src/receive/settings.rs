//! What a receive connector means to the session machine.

use directory::{BareNewline, Extension, Grants, MessageLimits, Protocol, ReceiveConnector, ReceiveTls};
use smtp::server;

/// Recipients of a message where `recipients_max` does not count (behaviours 1.8: connectors between servers).
const RECIPIENTS_TRUSTED_MAX: u32 = 5_000;

/// Bytes of a message where `message_size_max` does not count.
const MESSAGE_TRUSTED_BYTES_MAX: u64 = u32::MAX as u64;

/// The machine's settings for a session on `connector` that starts with these limits.
pub fn of(connector: &ReceiveConnector, limits: server::Limits) -> server::Settings {
    let protocol = match connector.protocol {
        Protocol::Smtp | Protocol::Submission => server::Protocol::Smtp,
        Protocol::Lmtp => server::Protocol::Lmtp,
    };
    server::Settings {
        banner: (&*connector.banner).into(),
        tls: match connector.tls {
            ReceiveTls::Off | ReceiveTls::Implicit | ReceiveTls::Organization => server::TlsOffer::Off,
            ReceiveTls::Offer => server::TlsOffer::Offer,
            ReceiveTls::Require => server::TlsOffer::Require,
        },
        auth_mechanisms: mechanisms(connector),
        auth_without_tls: connector.auth_without_tls,
        bare_newline: match connector.bare_newline {
            BareNewline::Reject => server::BareNewline::Reject,
            BareNewline::Repair => server::BareNewline::Repair,
        },
        offers: offers(connector),
        limits,
        ..server::Settings::new(protocol, &connector.hostname)
    }
}

fn offers(connector: &ReceiveConnector) -> server::Offers {
    let mut offers = server::Offers::default();
    for extension in &connector.extensions_off {
        match extension {
            Extension::Size => offers.size = false,
            Extension::SizeValue => offers.size_value = false,
            Extension::Pipelining => offers.pipelining = false,
            Extension::Chunking => offers.chunking = false,
            Extension::EightBitMime => offers.eight_bit_mime = false,
            Extension::SmtpUtf8 => offers.smtputf8 = false,
            Extension::Dsn => offers.dsn = false,
            Extension::EnhancedStatusCodes => offers.enhanced_status_codes = false,
        }
    }
    offers
}

/// The machine's bounds for somebody with `grants`: the strictest of the connector and the organization. What a user may send is bound by
/// the connector alone here, since two of ours may have more than the organization allows: the categorizer sees to that.
pub fn limits(
    connector: &ReceiveConnector,
    grants: Grants,
    organization: MessageLimits,
    is_user: bool,
) -> server::Limits {
    let own = &connector.limits;
    let any = |grant: Grants| grants.has(grant);
    let organization_bytes_max = organization.message_bytes_max.filter(|_| !is_user).unwrap_or(u64::MAX);
    let recipients_max = if any(Grants::ANY_RECIPIENT_COUNT) { RECIPIENTS_TRUSTED_MAX } else { own.recipients_max };
    server::Limits {
        message_bytes_max: match any(Grants::ANY_SIZE) {
            true => MESSAGE_TRUSTED_BYTES_MAX,
            false => own.message_bytes_max.min(organization_bytes_max),
        },
        header_bytes_max: own.header_bytes_max,
        recipients_max: recipients_max.min(organization.recipients_max.unwrap_or(u32::MAX)),
        messages_max: None,
        errors_max: own.errors_max,
    }
}

fn mechanisms(connector: &ReceiveConnector) -> Vec<String> {
    use crate::auth::Mechanism;
    let offered = [
        (connector.auth.scram_sha_256, Mechanism::ScramSha256),
        (connector.auth.plain, Mechanism::Plain),
        (connector.auth.login, Mechanism::Login),
    ];
    offered.iter().filter(|(offered, _)| *offered).map(|(_, mechanism)| mechanism.name().to_owned()).collect()
}
