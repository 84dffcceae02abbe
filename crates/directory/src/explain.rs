//! What a connection or an address meets, in words.

use crate::org::Org;
use mail::Mailbox;
use std::net::{IpAddr, SocketAddr};

impl Org {
    /// What a connection from `from` to our `to` meets, and what becomes of mail to `rcpt` on it. Several lines.
    pub fn explain(&self, from: IpAddr, to: SocketAddr, rcpt: Option<&Mailbox>) -> String {
        let _ = (from, to, rcpt);
        todo!()
    }
}
