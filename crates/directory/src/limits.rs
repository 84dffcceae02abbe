//! Limits that count for the whole organization, and how they meet those of connectors and recipients (behaviours 1.8).

/// `[message_limits]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of a message; `None`: the connectors say.
    pub message_bytes_max: Option<u64>,
    /// Recipients of a message before groups are expanded; `None`: the connectors say.
    pub recipients_max: Option<u32>,
}

/// What bounds the size of messages of one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeLimits {
    /// Sizes do not count: a server of ours, or a notification from somebody trusted.
    pub exempt: bool,
    /// The organization's bound, in bytes.
    pub organization: Option<u64>,
    /// The bound of the sender's own recipient, in bytes, if it has authenticated and has one.
    pub sender: Option<u64>,
}

impl SizeLimits {
    /// The bound for a message to somebody whose own bound is this one. Between two of ours who may have more than the organization allows,
    /// they may. (The connector's counts in any case; the session sees to it.)
    pub fn to(self, recipient: Option<u64>) -> Option<u64> {
        if self.exempt {
            return None;
        }
        match (self.organization, self.sender, recipient) {
            (Some(organization), Some(sender), Some(recipient)) => Some(recipient.min(organization.max(sender))),
            _ => least(self.organization, recipient),
        }
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviours 1.8: the strictest wins; two of ours with bounds of their own may go beyond the organization's.
    #[test]
    fn the_strictest_wins_but_between_two_who_may_more() {
        let bound = |organization, sender, recipient| SizeLimits { exempt: false, organization, sender }.to(recipient);
        assert_eq!(bound(None, None, None), None);
        assert_eq!(bound(Some(10), None, None), Some(10));
        assert_eq!(bound(Some(10), None, Some(5)), Some(5));
        assert_eq!(bound(Some(10), None, Some(50)), Some(10), "a stranger's mail stays below the organization's");
        assert_eq!(bound(Some(10), Some(40), None), Some(10), "only one of them may more");
        assert_eq!(bound(Some(10), Some(40), Some(50)), Some(40));
        assert_eq!(
            bound(Some(10), Some(5), Some(50)),
            Some(10),
            "a sender that takes little itself sends as much as others"
        );
        assert_eq!(bound(Some(10), Some(40), Some(5)), Some(5));
        assert_eq!(bound(None, Some(40), Some(50)), Some(50));
        assert_eq!(SizeLimits { exempt: true, organization: Some(1), sender: None }.to(Some(1)), None);
    }
}
