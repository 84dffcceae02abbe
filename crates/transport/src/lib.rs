//! The pipeline: receive, categorize, route, deliver. The first floor that waits on sockets.
//!
//! Owns the drivers of the SMTP machines, DNS, TLS as a client, the choice of next hops. Knows no disk, no HTTP, no roles: what it
//! needs from above comes in through small traits. Nothing here keeps a message: custody is the spool's.

pub mod auth;
pub mod categorize;
pub mod deliver;
pub mod dns;
pub mod ldap;
pub mod limits;
pub mod links;
pub mod probe;
pub mod receive;
pub mod swap;
pub mod tls;
pub mod tls_client;
