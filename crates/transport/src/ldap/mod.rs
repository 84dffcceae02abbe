//! LDAP (RFC 4511) as far as we speak it: bind, search in pages (RFC 2696), STARTTLS.
//!
//! Owns the bytes of the protocol and connections to servers. Knows no recipient: what entries mean is `directory::ldap`'s. Always
//! holds: whatever a server sends is an answer or an error, never a panic and never more memory than [`MESSAGE_BYTES_MAX`] a message;
//! nothing is sent before the protection that the document asks for is there; a password that is empty is never sent (RFC 4513 5.1.2).

mod ber;
mod link;
mod message;
mod session;

pub use link::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, Trouble};
pub use message::MESSAGE_BYTES_MAX;
pub use session::{Bound, Session};
