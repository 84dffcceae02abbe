//! Command and parameter grammar shared by both ends: paths and ESMTP parameters (RFC 5321 4.1.2), xtext (RFC 3461 4), base 64
//! (RFC 4648 4), the journey of a message between servers of one organization. Knows no session: a text goes in, its parts come out, borrowed where nothing had to be decoded.

pub mod base64;
pub mod journey;
pub mod parameters;
pub mod path;
pub mod xtext;
