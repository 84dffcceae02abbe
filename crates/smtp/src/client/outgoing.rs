//! What the machine asks a message. Owns no bytes: the body stays with the driver.

use mail::{BodyKind, Journey, Recipient, Ret, ReversePath};

/// A message on its way out, for the recipients of one transaction.
pub trait Outgoing {
    /// MAIL FROM.
    fn from(&self) -> &ReversePath;
    /// How many recipients this transaction has, at least one.
    fn recipients(&self) -> usize;
    /// One of them; `index` is below [`recipients`](Self::recipients).
    fn recipient(&self, index: usize) -> &Recipient;
    /// Length of the body in bytes, exactly what will be handed over for BDAT.
    fn size_bytes(&self) -> u64;
    /// BODY=.
    fn body(&self) -> BodyKind;
    /// It came with SMTPUTF8.
    fn smtputf8(&self) -> bool;
    /// Its header holds bytes above ASCII. Asked only for a message with SMTPUTF8 where the peer does not offer it.
    fn header_needs_utf8(&self) -> bool;
    /// RET=.
    fn ret(&self) -> Option<Ret>;
    /// ENVID=, decoded.
    fn envid(&self) -> Option<&str>;
    /// XPOSTHOUSE=, for a server of our own organization. A peer that does not offer it is not told.
    fn journey(&self) -> Option<&Journey> {
        None
    }
}
