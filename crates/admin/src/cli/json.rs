//! Owns answers as JSON, for programs.

use serde::Serialize;

use super::client::Trouble;

/// As the API gave it, in lines for a person's eye too.
pub fn print_json(value: &impl Serialize) -> Result<(), Trouble> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Trouble::Failed(error.to_string()))?;
    println!("{text}");
    Ok(())
}
