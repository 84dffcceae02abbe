//! From TOML to values. Goes on after a problem, so that an operator sees all of them at once.

mod back_pressure;
mod checks;
mod cluster;
mod destination;
mod directory;
mod dns_name;
mod dns_server;
mod document;
mod domain;
mod lint;
mod mechanisms;
mod naming;
mod naming_checks;
mod naming_lint;
mod node;
mod org;
mod peers;
mod pem;
mod people;
mod probe;
mod receive;
mod recipient;
mod rule;
mod section;
mod send;
mod service;
mod service_checks;
mod topology;
mod user;
mod virtual_address;
mod zone;

pub use document::{Document, did_you_mean, io_text};
pub use node::node;
pub use org::{Context, org};
