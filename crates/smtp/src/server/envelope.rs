//! MAIL and RCPT read into values, strictly: what is not understood is refused, never skipped.

use super::{AuthParameter, MailCommand, Offers, RcptCommand, reply};
use crate::grammar::parameters::{Parameter, parameters};
use crate::grammar::{journey, path, xtext};
use alloc::boxed::Box;
use alloc::string::String;
use mail::address::AddressError;
use mail::{BodyKind, Mailbox, Notify, Reply, Ret, ReversePath};

/// What the session allows in parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// What is offered; `None` after HELO, which allows no parameters.
    pub(super) offers: Option<Offers>,
    /// AUTH is offered.
    pub(super) auth: bool,
    /// XPOSTHOUSE is offered.
    pub(super) journey: bool,
}

/// Reads what follows `MAIL `.
pub(super) fn mail(text: &str, allowed: Allowed) -> Result<MailCommand, Reply> {
    let path = after_word(text, "FROM:").and_then(path::split).ok_or(reply::MAIL_SYNTAX)?;
    let mut mail = MailCommand {
        from: ReversePath::Null,
        size: None,
        body: BodyKind::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        auth: None,
        journey: None,
    };
    let mut seen = Seen::default();
    for parameter in parameters(path.rest) {
        let parameter = parameter.map_err(|_| reply::BAD_PARAMETER)?;
        let name = mail_parameter(parameter, allowed)?;
        seen.once(name as u8)?;
        set_mail_parameter(&mut mail, name, parameter.value).ok_or(reply::BAD_PARAMETER)?;
    }
    if !path.address.is_empty() {
        mail.from = ReversePath::Mailbox(mailbox(path.address, mail.smtputf8, reply::BAD_SENDER)?);
    }
    Ok(mail)
}

/// Reads what follows `RCPT `. `utf8`: MAIL came with SMTPUTF8.
pub(super) fn rcpt(text: &str, allowed: Allowed, utf8: bool) -> Result<RcptCommand, Reply> {
    let path = after_word(text, "TO:").and_then(path::split).ok_or(reply::RCPT_SYNTAX)?;
    let (mut notify, mut orcpt) = (Notify::Default, None);
    let mut seen = Seen::default();
    for parameter in parameters(path.rest) {
        let Parameter { keyword, value } = parameter.map_err(|_| reply::BAD_PARAMETER)?;
        let dsn = allowed.offers.is_some_and(|offers| offers.dsn);
        if dsn && keyword.eq_ignore_ascii_case("NOTIFY") {
            seen.once(0)?;
            notify = value.and_then(notify_value).ok_or(reply::BAD_PARAMETER)?;
        } else if dsn && keyword.eq_ignore_ascii_case("ORCPT") {
            seen.once(1)?;
            orcpt = Some(value.and_then(|value| orcpt_value(value, utf8)).ok_or(reply::BAD_PARAMETER)?);
        } else {
            return Err(reply::UNKNOWN_PARAMETER);
        }
    }
    let to = if path.address.eq_ignore_ascii_case("postmaster") {
        None
    } else {
        Some(mailbox(path.address, utf8, reply::BAD_RECIPIENT)?)
    };
    Ok(RcptCommand { to, notify, orcpt })
}

/// What follows `word`, spaces in between taken: many simple senders write `MAIL FROM: <a@b>`.
fn after_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then(|| rest.trim_start_matches(' '))
}

fn mailbox(text: &str, utf8: bool, bad: Reply) -> Result<Mailbox, Reply> {
    Mailbox::parse(text, utf8).map_err(|error| match error {
        AddressError::NotAscii => reply::UTF8_NOT_ASKED_FOR,
        _ => bad,
    })
}

#[derive(Clone, Copy)]
enum MailParameter {
    Size,
    Body,
    SmtpUtf8,
    Ret,
    Envid,
    Auth,
    Journey,
}

fn mail_parameter(parameter: Parameter<'_>, allowed: Allowed) -> Result<MailParameter, Reply> {
    let offers = allowed.offers.ok_or(reply::UNKNOWN_PARAMETER)?;
    let known = [
        ("SIZE", MailParameter::Size, offers.size),
        ("BODY", MailParameter::Body, offers.eight_bit_mime),
        ("SMTPUTF8", MailParameter::SmtpUtf8, offers.smtputf8),
        ("RET", MailParameter::Ret, offers.dsn),
        ("ENVID", MailParameter::Envid, offers.dsn),
        ("AUTH", MailParameter::Auth, allowed.auth),
        (journey::KEYWORD, MailParameter::Journey, allowed.journey),
    ];
    let found = known.into_iter().find(|(word, _, offered)| *offered && parameter.keyword.eq_ignore_ascii_case(word));
    match found {
        Some((_, MailParameter::Body, _)) if parameter.value.is_some_and(|v| v.eq_ignore_ascii_case("BINARYMIME")) => {
            Err(reply::UNKNOWN_PARAMETER) // a value of RFC 3030 that is not offered
        }
        Some((_, name, _)) => Ok(name),
        None => Err(reply::UNKNOWN_PARAMETER),
    }
}

fn set_mail_parameter(mail: &mut MailCommand, name: MailParameter, value: Option<&str>) -> Option<()> {
    match (name, value) {
        (MailParameter::Size, Some(value)) => mail.size = Some(size_value(value)?),
        (MailParameter::Body, Some(value)) if value.eq_ignore_ascii_case("7BIT") => mail.body = BodyKind::SevenBit,
        (MailParameter::Body, Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => {
            mail.body = BodyKind::EightBitMime
        }
        (MailParameter::SmtpUtf8, None) => mail.smtputf8 = true,
        (MailParameter::Ret, Some(value)) if value.eq_ignore_ascii_case("FULL") => mail.ret = Some(Ret::Full),
        (MailParameter::Ret, Some(value)) if value.eq_ignore_ascii_case("HDRS") => mail.ret = Some(Ret::Hdrs),
        (MailParameter::Envid, Some(value)) if value.len() <= ENVID_BYTES_MAX => mail.envid = Some(xtext_value(value)?),
        (MailParameter::Auth, Some("<>")) => mail.auth = Some(AuthParameter::Nobody),
        (MailParameter::Auth, Some(value)) => {
            let decoded = String::from_utf8(xtext::decode(value.as_bytes())?).ok()?;
            mail.auth = Some(AuthParameter::Mailbox(Mailbox::parse(&decoded, true).ok()?));
        }
        (MailParameter::Journey, Some(value)) => mail.journey = Some(Box::new(journey::parse(value)?)),
        _ => return None,
    }
    Some(())
}

/// 1 to 20 digits (RFC 1870 5); what does not fit into 64 bits is too large in any case.
fn size_value(value: &str) -> Option<u64> {
    let digits = value.len() <= 20 && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// Printable ASCII, decoded from xtext (RFC 3461 4.4).
fn xtext_value(value: &str) -> Option<Box<str>> {
    let decoded = String::from_utf8(xtext::decode(value.as_bytes())?).ok()?;
    decoded.bytes().all(|b| matches!(b, 32..=126)).then(|| decoded.into_boxed_str())
}

/// NEVER, or a list of SUCCESS, FAILURE, DELAY (RFC 3461 4.1).
fn notify_value(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        let told = match word {
            _ if word.eq_ignore_ascii_case("SUCCESS") => &mut success,
            _ if word.eq_ignore_ascii_case("FAILURE") => &mut failure,
            _ if word.eq_ignore_ascii_case("DELAY") => &mut delay,
            _ => return None,
        };
        if core::mem::replace(told, true) {
            return None;
        }
    }
    Some(Notify::On { success, failure, delay })
}

/// `type;xtext` (RFC 3461 4.2). Type utf-8 has an encoding of its own (RFC 6533 3) and is kept as it came.
fn orcpt_value(value: &str, utf8: bool) -> Option<Box<str>> {
    let (kind, address) = value.split_once(';')?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~.".contains(&b);
    if value.len() > ORCPT_BYTES_MAX || kind.is_empty() || address.is_empty() || !kind.bytes().all(atom) {
        return None;
    }
    if kind.eq_ignore_ascii_case("utf-8") {
        let kept = address.chars().all(|c| if c.is_ascii() { c.is_ascii_graphic() } else { utf8 && !c.is_control() });
        return kept.then(|| value.into());
    }
    let address = xtext_value(address)?;
    Some([kind, ";", &address].concat().into_boxed_str())
}

/// Which parameters were given.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    fn once(&mut self, parameter: u8) -> Result<(), Reply> {
        let bit = 1 << parameter;
        if self.0 & bit != 0 {
            return Err(reply::BAD_PARAMETER);
        }
        self.0 |= bit;
        Ok(())
    }
}

/// RFC 3461 4.4.
const ENVID_BYTES_MAX: usize = 100;

/// RFC 3461 4.2.
const ORCPT_BYTES_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const ALL: Allowed = Allowed { offers: Some(EVERY_OFFER), auth: true, journey: false };
    const EVERY_OFFER: Offers = Offers {
        pipelining: true,
        size: true,
        size_value: true,
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        dsn: true,
        enhanced_status_codes: true,
    };

    #[test]
    fn mail_with_everything() {
        let read =
            mail("from:<a@b.test> size=10 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B314 AUTH=e+3Dmc2@x.test", ALL)
                .unwrap();
        assert_eq!(read.from.as_str(), "a@b.test");
        assert_eq!((read.size, read.body, read.smtputf8), (Some(10), BodyKind::EightBitMime, true));
        assert_eq!((read.ret, read.envid.as_deref()), (Some(Ret::Hdrs), Some("QQ+314")));
        assert_eq!(read.auth, Some(AuthParameter::Mailbox(Mailbox::parse("e=mc2@x.test", false).unwrap())));
    }

    #[test]
    fn mail_is_strict() {
        for (text, code) in [
            ("FROM:<>", "ok"),
            ("FROM: <a@b>", "ok"),
            ("FROM:<> AUTH=<>", "ok"),
            ("FROM:<\u{e9}@b> SMTPUTF8", "ok"),
            ("FROM:<> SIZE=99999999999999999999", "ok"),
            ("FROM:<\u{e9}@b>", "553 5.6.7"),
            ("FROM:a@b", "501 5.5.4"),
            ("FROM :<a@b>", "501 5.5.4"),
            ("TO:<a@b>", "501 5.5.4"),
            ("FROM:<a@b>SIZE=1", "501 5.5.4"),
            ("FROM:<a>", "501 5.1.7"),
            ("FROM:<a@b.>", "501 5.1.7"),
            ("FROM:<a@b> SIZE", "501 5.5.4"),
            ("FROM:<a@b> SIZE=x", "501 5.5.4"),
            ("FROM:<a@b> SIZE=+1", "501 5.5.4"),
            ("FROM:<a@b> SIZE=100000000000000000000", "501 5.5.4"),
            ("FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4"),
            ("FROM:<a@b> BODY=9BIT", "501 5.5.4"),
            ("FROM:<a@b> BODY=BINARYMIME", "555 5.5.4"),
            ("FROM:<a@b> SMTPUTF8=1", "501 5.5.4"),
            ("FROM:<a@b> ENVID=a+zz", "501 5.5.4"),
            ("FROM:<a@b> ENVID=a+0D+0Ab", "501 5.5.4"),
            ("FROM:<a@b> RET=SOME", "501 5.5.4"),
            ("FROM:<a@b> AUTH=nobody", "501 5.5.4"),
            ("FROM:<a@b> MT-PRIORITY=1", "555 5.5.4"),
            ("FROM:<a@b> NOTIFY=NEVER", "555 5.5.4"),
        ] {
            let got = mail(text, ALL).map_or_else(|reply| reply.to_string(), |_| "ok".into());
            assert!(got.starts_with(code), "{text}: {got}");
        }
        let plain = Allowed { offers: None, auth: false, journey: true };
        assert_eq!(mail("FROM:<a@b> SIZE=1", plain), Err(reply::UNKNOWN_PARAMETER), "after HELO");
        assert_eq!(mail("FROM:<a@b> XPOSTHOUSE=1,2,3,i,a", plain), Err(reply::UNKNOWN_PARAMETER), "after HELO");
        assert_eq!(mail("FROM:<a@b> AUTH=<>", Allowed { auth: false, ..ALL }), Err(reply::UNKNOWN_PARAMETER));
    }

    #[test]
    fn a_journey_is_for_servers_and_for_mail() {
        let server = Allowed { journey: true, ..ALL };
        let read = mail("FROM:<a@b> xposthouse=1,1700000000000,42,i,berlin,paris", server).unwrap();
        assert_eq!(
            *read.journey.unwrap(),
            mail::Journey {
                first_ms: 1_700_000_000_000,
                original_bytes: 42,
                sites: ["berlin".into(), "paris".into()].into(),
                trusted: true,
            }
        );
        for (text, allowed, wanted) in [
            ("FROM:<a@b> XPOSTHOUSE=1,2,3,i,a", ALL, reply::UNKNOWN_PARAMETER),
            ("FROM:<a@b> XPOSTHOUSE=rubbish", ALL, reply::UNKNOWN_PARAMETER),
            ("FROM:<a@b> XPOSTHOUSE", server, reply::BAD_PARAMETER),
            ("FROM:<a@b> XPOSTHOUSE=rubbish", server, reply::BAD_PARAMETER),
            ("FROM:<a@b> XPOSTHOUSE=1,2,3,i,a XPOSTHOUSE=1,2,3,i,a", server, reply::BAD_PARAMETER),
        ] {
            assert_eq!(mail(text, allowed), Err(wanted), "{text}");
        }
        assert_eq!(rcpt("TO:<a@b> XPOSTHOUSE=1,2,3,i,a", server, false), Err(reply::UNKNOWN_PARAMETER));
    }

    #[test]
    fn rcpt_is_strict() {
        for (text, utf8, code) in [
            ("TO:<a@b>", false, "ok"),
            ("TO:<Postmaster>", false, "ok"),
            ("TO:<@r.test:a@b>", false, "ok"),
            ("TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c", false, "ok"),
            ("TO:<\u{e9}@b> ORCPT=utf-8;\u{e9}@b", true, "ok"),
            ("TO:<\u{e9}@b>", false, "553 5.6.7"),
            ("TO:<>", false, "501 5.1.3"),
            ("TO:<a>", false, "501 5.1.3"),
            ("TO:<a@b> NOTIFY=NEVER,DELAY", false, "501 5.5.4"),
            ("TO:<a@b> NOTIFY=DELAY,DELAY", false, "501 5.5.4"),
            ("TO:<a@b> NOTIFY=", false, "501 5.5.4"),
            ("TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", false, "501 5.5.4"),
            ("TO:<a@b> ORCPT=a@b", false, "501 5.5.4"),
            ("TO:<a@b> ORCPT=rfc822;a+0A", false, "501 5.5.4"),
            ("TO:<a@b> ORCPT=utf-8;\u{e9}@b", false, "501 5.5.4"),
            ("TO:<a@b> SIZE=1", false, "555 5.5.4"),
        ] {
            let got = rcpt(text, ALL, utf8).map_or_else(|reply| reply.to_string(), |_| "ok".into());
            assert!(got.starts_with(code), "{text}: {got}");
        }
        let read = rcpt("TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c", ALL, false).unwrap();
        assert_eq!(read.notify, Notify::On { success: true, failure: false, delay: true });
        assert_eq!(read.orcpt.as_deref(), Some("rfc822;a+b@c"));
        assert_eq!(rcpt("TO:<postMASTER>", ALL, false).unwrap().to, None);
    }
}
