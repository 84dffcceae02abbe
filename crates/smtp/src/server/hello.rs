//! What the server says of itself: the greeting and the list behind EHLO.

use super::session::Session;
use super::{Greeting, TlsOffer};
use crate::grammar::journey;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use mail::Reply;

impl Session {
    pub(super) fn write_greeting(&mut self) {
        let settings = &self.settings;
        let text = if settings.banner.is_empty() {
            let protocol = if self.is_lmtp() { "LMTP" } else { "ESMTP" };
            format!("{} {protocol} Posthouse", settings.hostname)
        } else {
            String::from(&*settings.banner)
        };
        self.say(&Reply::plain(220, text));
    }

    pub(super) fn write_hello(&mut self, greeting: Greeting) {
        let mut text = String::from(&*self.settings.hostname);
        if greeting != Greeting::Helo {
            self.list_extensions(&mut text);
        }
        self.say(&Reply::plain(250, text));
    }

    fn list_extensions(&self, text: &mut String) {
        let offers = &self.settings.offers;
        let mut line = |offered: bool, keyword: &str| {
            if offered {
                text.push('\n');
                text.push_str(keyword);
            }
        };
        line(offers.pipelining, "PIPELINING");
        match offers.size_value {
            true => line(offers.size, &format!("SIZE {}", self.limits.message_bytes_max)),
            false => line(offers.size, "SIZE"),
        }
        line(self.settings.tls != TlsOffer::Off && !self.tls, "STARTTLS");
        line(self.offers_auth(), &format!("AUTH {}", self.settings.auth_mechanisms.join(" ")));
        line(offers.enhanced_status_codes, "ENHANCEDSTATUSCODES");
        line(offers.eight_bit_mime, "8BITMIME");
        line(offers.dsn, "DSN");
        line(offers.smtputf8, "SMTPUTF8");
        line(offers.chunking, "CHUNKING");
        line(self.xclient_trusted, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
        line(self.server, journey::KEYWORD);
        let mut limits = format!("LIMITS RCPTMAX={}", self.limits.recipients_max);
        if let Some(messages_max) = self.limits.messages_max {
            let _ = write!(limits, " MAILMAX={messages_max}"); // writing to a String does not fail
        }
        line(true, &limits);
    }

    /// AUTH stands in the reply to EHLO.
    pub(super) fn offers_auth(&self) -> bool {
        !self.settings.auth_mechanisms.is_empty() && (self.tls || self.settings.auth_without_tls) && !self.authenticated
    }
}
