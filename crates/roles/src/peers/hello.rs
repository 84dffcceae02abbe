//! The first words on a link: who we are, whom we wanted, and whether the other end is welcome.

use serde::{Deserialize, Serialize};

use super::trouble::Trouble;

/// How one end introduces itself. The end that was called speaks second, so that it can refuse in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of what is said on links.
    pub protocol: u32,
    /// The node's name.
    pub node: String,
    /// A random number of this life of the process: another one means that the node was started anew.
    pub life: u64,
    /// Version of the program.
    pub version: String,
    /// From the end that dialed: whom it wants.
    pub wants: Option<String>,
    /// From the end that was called: why it refuses the link.
    pub refuses: Option<String>,
}

impl Hello {
    /// For the wire.
    pub fn bytes(&self) -> Vec<u8> {
        // Names and numbers always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the wire. Text of a stranger is shown only after this has taken what is not plain out of it.
    pub fn parse(bytes: &[u8]) -> Result<Hello, Trouble> {
        let read: Result<Hello, _> = serde_json::from_slice(bytes);
        let mut hello = read.map_err(|_| Trouble::Cut(mux::Cut::Hello))?;
        let texts = [Some(&mut hello.node), Some(&mut hello.version), hello.wants.as_mut(), hello.refuses.as_mut()];
        for text in texts.into_iter().flatten() {
            text.retain(|c| !c.is_control());
        }
        Ok(hello)
    }
}

/// What is said on links; nodes of different ones do not talk.
pub const PROTOCOL: u32 = 1;

/// What the end that was called says when the pair has a link already. No trouble: the other link is used.
pub const HAVE_ONE: &str = "there is a link already";
