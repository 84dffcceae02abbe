//! Connections to LDAP servers (RFC 4511): bind, search in pages, STARTTLS.
//!
//! Owns the sockets, their TLS and their times. Knows no recipient: the bytes and what entries mean are `directory::ldap`'s. Always
//! holds: a message of a server takes no more memory than [`MESSAGE_BYTES_MAX`]; nothing is sent before the protection that the document asks for is there; a password that is empty is never sent (RFC 4513 5.1.2).

mod link;
mod session;

pub use directory::ldap::wire::MESSAGE_BYTES_MAX;
pub use link::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, Trouble};
pub use session::{Bound, Session};
