//! Command and parameter grammar shared by both ends: paths and ESMTP parameters (RFC 5321 4.1.2), xtext (RFC 3461 4), base 64 (RFC 4648 4).

pub mod base64;
pub mod xtext;
