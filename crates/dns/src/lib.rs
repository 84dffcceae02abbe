//! Answers for the zones of the organization.

pub mod contents;
pub mod file;
