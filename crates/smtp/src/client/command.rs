//! Writes commands with the parameters that the peer offered to take.
//!
//! Always holds: nothing that came from outside can end a command: addresses are valid by their type, the rest is xtext.

use super::capabilities::Capabilities;
use super::outgoing::Outgoing;
use crate::grammar::{base64, journey, xtext};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use mail::{BodyKind, Notify, Recipient, Ret, decimal};

/// MAIL FROM with SIZE, BODY, SMTPUTF8, RET and ENVID as far as they are offered and needed.
pub(super) fn mail<M: Outgoing>(out: &mut Vec<u8>, message: &M, offers: &Capabilities) {
    out.extend_from_slice(b"MAIL FROM:<");
    out.extend_from_slice(message.from().as_str().as_bytes());
    out.push(b'>');
    if offers.size {
        out.extend_from_slice(b" SIZE=");
        decimal::write(out, message.size_bytes());
    }
    match message.body() {
        BodyKind::EightBitMime if offers.eight_bit_mime => out.extend_from_slice(b" BODY=8BITMIME"),
        BodyKind::BinaryMime if offers.binary_mime => out.extend_from_slice(b" BODY=BINARYMIME"),
        _ => {}
    }
    if message.smtputf8() && offers.smtputf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    if offers.dsn {
        match message.ret() {
            Some(Ret::Full) => out.extend_from_slice(b" RET=FULL"),
            Some(Ret::Hdrs) => out.extend_from_slice(b" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = message.envid() {
            let mut text = String::from(" ENVID=");
            xtext::encode(envid, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
    }
    if let (true, Some(journey)) = (offers.journey, message.journey()) {
        out.push(b' ');
        out.extend_from_slice(journey::KEYWORD.as_bytes());
        out.push(b'=');
        // One that does not fit was refused before (Pipeline::cannot_take).
        journey::write(journey, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// RCPT TO with NOTIFY and ORCPT where DSN is offered.
pub(super) fn rcpt(out: &mut Vec<u8>, recipient: &Recipient, offers: &Capabilities) {
    out.extend_from_slice(b"RCPT TO:<");
    out.extend_from_slice(recipient.address.as_str().as_bytes());
    out.push(b'>');
    if offers.dsn {
        notify(out, recipient.notify);
        if let Some(orcpt) = &recipient.orcpt {
            out.extend_from_slice(original_recipient(orcpt).as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// `BDAT n LAST`.
pub(super) fn bdat_last(out: &mut Vec<u8>, size_bytes: u64) {
    out.extend_from_slice(b"BDAT ");
    decimal::write(out, size_bytes);
    out.extend_from_slice(b" LAST\r\n");
}

/// The response of AUTH PLAIN in base 64 (RFC 4616).
pub(super) fn plain_response(out: &mut Vec<u8>, username: &str, password: &str) {
    base64::encode(format!("\0{username}\0{password}").as_bytes(), out);
}

fn notify(out: &mut Vec<u8>, notify: Notify) {
    let words = match notify {
        Notify::Default => return,
        Notify::Never | Notify::On { success: false, failure: false, delay: false } => {
            out.extend_from_slice(b" NOTIFY=NEVER");
            return;
        }
        Notify::On { success, failure, delay } => [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")],
    };
    let mut separator = " NOTIFY=";
    for (_, word) in words.iter().filter(|(wanted, _)| *wanted) {
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(word.as_bytes());
        separator = ",";
    }
}

/// ORCPT. An address of type `utf-8` is written in the ASCII form of RFC 6533 3, which every peer with DSN can carry.
fn original_recipient(orcpt: &str) -> String {
    let (kind, address) = orcpt.split_once(';').unwrap_or(("rfc822", orcpt));
    let kind: String = kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let mut out = format!(" ORCPT={kind};");
    if !kind.eq_ignore_ascii_case("utf-8") {
        xtext::encode(address, &mut out);
        return out;
    }
    for c in address.chars() {
        match c {
            '!'..='~' if !matches!(c, '+' | '=' | '\\') => out.push(c),
            // Writing to a String cannot fail.
            _ => _ = write!(out, "\\x{{{:X}}}", u32::from(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Mailbox;

    #[test]
    fn dsn_parameters_are_written_as_xtext() {
        let offers = Capabilities { dsn: true, ..Capabilities::default() };
        let mut recipient = Recipient::new(Mailbox::parse("a@b.example", false).expect("valid"));
        recipient.notify = Notify::On { success: true, failure: false, delay: true };
        recipient.orcpt = Some("rfc822;x+y@b.example".into());
        let mut out = Vec::new();
        rcpt(&mut out, &recipient, &offers);
        assert_eq!(out, b"RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@b.example\r\n");
        assert_eq!(original_recipient("utf-8;gr\u{fc}n+\\@b"), " ORCPT=utf-8;gr\\x{FC}n\\x{2B}\\x{5C}@b");
        out.clear();
        rcpt(&mut out, &recipient, &Capabilities::default());
        assert_eq!(out, b"RCPT TO:<a@b.example>\r\n");
    }
}
