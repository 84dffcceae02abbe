//! The outside of a node for its operator: HTTP API, page, and a command line that uses the API and nothing else.
//!
//! Owns HTTP, HTML and the words of the command line. Knows the node only as [`roles::control::Control`].
//! Always holds: the command line and the page can do nothing that the API cannot.

mod api;
mod cli;
mod http;
mod units;

pub use cli::main;
