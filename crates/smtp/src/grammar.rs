//! Command and parameter grammar shared by both ends (RFC 5321 4.1.2, RFC 3461 xtext).
