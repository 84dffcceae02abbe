//! Why an address came and went, in words: for people, and for the labels of counters.

use balancer::address::{Taken, Why};

/// Why it came.
pub fn words_of(taken: &Taken) -> String {
    match taken {
        Taken::Free => "nobody had it".into(),
        Taken::From(node) => format!("{node} had it before"),
        Taken::Ordered => "by order".into(),
    }
}

/// Why it went, as a label.
pub fn word(why: &Why) -> &'static str {
    match why {
        Why::Lease => "lease",
        Why::Late => "late",
        Why::Key => "key",
        Why::Unfit(_) => "not-ready",
        Why::Ordered(_) => "order",
        Why::Failback(_) => "failback",
        Why::NotOurs => "document",
        Why::Failed => "failed",
        Why::NoHeir => "no-successor",
    }
}

/// Why it went.
pub fn reason(why: &Why) -> String {
    match why {
        Why::Lease => "its lease is lost; etcd cannot be reached from here, or has ended it".into(),
        Why::Late => "this process did not renew it in time: it was stopped, or the machine is overloaded".into(),
        Why::Key => "etcd says that it is not this node's any more".into(),
        Why::Unfit(what) => what.clone(),
        Why::Ordered(Some(to)) => format!("by order, to {to}"),
        Why::Ordered(None) => "by order".into(),
        Why::Failback(to) => format!("{to} is ready, and stands before this node"),
        Why::NotOurs => "the document no longer gives it to this node, or the node ends".into(),
        Why::Failed => "it could not be put on the interface".into(),
        Why::NoHeir => "this process ends, and no new one has taken its place in time".into(),
    }
}
