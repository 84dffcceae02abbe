//! Owns the words between a delivery and a mail store on this machine. Knows no file: whoever implements [`LocalStore`] does.

use mail::{Mailbox, MessageId, Reply};

/// A store of mail on this machine, such as Maildirs.
pub trait LocalStore: Send + Sync + 'static {
    /// Puts each letter into its mailbox and gives a reply for each, in the same order. A positive reply promises that the letter
    /// survives a power cut; a transient one that trying again is safe. Called on a thread that may block; called for many letters
    /// of one domain at once, so that one directory sync serves them all.
    fn deliver(&self, domain: &str, letters: &[Letter<'_>]) -> Vec<Reply>;
}

/// One message for one recipient of a local domain.
pub struct Letter<'a> {
    /// The message, for file names and logs.
    pub id: MessageId,
    /// It may have been delivered before: the store looks whether it was, and then answers as if it had done it now.
    pub repeat: bool,
    /// Whose mailbox.
    pub mailbox: &'a Mailbox,
    /// Lines that stand before the message: Return-Path (RFC 5321 4.4) and Delivered-To, CRLF at each end.
    pub head: &'a [u8],
    /// The message, CRLF line ends.
    pub body: &'a dyn LetterBody,
}

/// The bytes of a message, from memory or from the journal.
pub trait LetterBody: Sync {
    /// Their number.
    fn size_bytes(&self) -> u64;

    /// Hands them to `sink` in order, in parts of at most 256 KiB. Ends early with what `sink` or the journal failed with.
    fn read(&self, sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()>;
}
