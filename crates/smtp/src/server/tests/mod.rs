//! Whole sessions: what goes in, what the driver is asked, what comes out.

mod bodies;
mod commands;
mod driver;
mod extensions;
mod splits;
