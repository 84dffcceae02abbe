//! A node put together: listeners, Maildirs, trace files, certificates, the one health truth, start and stop.
//!
//! Owns what only a whole node has. Knows no HTTP pages. What it shows to the floor above are its own words
//! ([`control`]), never the insides of the floors below.

pub mod certificates;
pub mod data;
pub mod exposition;
pub mod health;
pub mod listen;
pub mod logging;
//pub mod maildir;
pub mod trace;
