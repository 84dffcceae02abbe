//! How a restart goes, as the API shows it.

use serde::{Deserialize, Serialize};

/// How a restart without a gap goes (`posthouse restart`).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Restart {
    /// The process that says this.
    pub process: u32,
    /// A new one was started, or has come, to take its place.
    pub under_way: bool,
    /// How far it is, in words.
    pub stage: String,
    /// What became of the last attempt, if it failed.
    #[serde(default)]
    pub failed: Option<String>,
}
