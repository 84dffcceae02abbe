//! Empty yet.
use crate::shared::{Inner, Spool};
pub fn start(_: &Spool) -> std::io::Result<()> {
    Ok(())
}
pub fn step(_: &Inner) -> bool {
    false
}
