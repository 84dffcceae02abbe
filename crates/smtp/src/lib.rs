//! Both ends of SMTP (RFC 5321) and LMTP (RFC 2033), the PROXY protocol and XCLIENT, as machines on bytes.
//!
//! Owns grammar, line handling, session states and the bounds a stranger meets there. Knows no socket, clock, policy or queue
//! (`no_std`): whoever drives a machine hands it bytes, answers its moments, and writes what it says.
#![no_std]
extern crate alloc;

pub mod client;
pub mod grammar;
pub mod proxy;
pub mod server;
