//! Owns the answer of a node that has no copy to offer: it owns the journal itself, or knows a higher epoch from elsewhere.

use super::frame::{Frame, Message, Refusal};

/// The answer to a frame from somebody who thinks that he owns a journal of which `epoch` is the highest epoch known here.
/// `None`: nothing is to be answered.
pub fn refuse(frame: &Frame, epoch: u32) -> Option<Frame> {
    match &frame.message {
        Message::Hello(_) => {
            let message = Message::Refuse { why: Refusal::Epoch, epoch };
            Some(Frame { session: frame.session, message })
        }
        _ => None,
    }
}
