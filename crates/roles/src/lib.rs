//! A node put together: listeners, Maildirs, trace files, certificates, the one health truth, start and stop.
//!
//! Owns what only a whole node has. Knows no HTTP pages. What it shows to the floor above are its own words
//! ([`control`]), never the insides of the floors below.

pub mod audit;
mod certificates;
mod cluster;
mod config;
pub mod control;
mod copies;
mod counted;
mod data;
pub mod dev;
mod difference;
mod directories;
mod dispatch;
mod exposition;
pub mod health;
mod listen;
mod listeners;
mod logging;
mod maildir;
mod metrics;
mod node;
pub mod offline;
mod org;
pub mod peers;
pub mod pki;
mod pressure;
mod probers;
mod pushes;
mod rates;
mod repeats;
pub mod schema;
mod services;
mod spools;
mod succession;
mod tally;
mod timers;
pub mod trace;
pub mod view;
pub mod virtual_address;
mod zones;

pub use directory::Start;
pub use node::{Ended, Leaving, Running, StartError, start};
pub use succession::Launcher;
