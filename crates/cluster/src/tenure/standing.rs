//! Owns the decision which copies count, by how they are. Pure: time and looks come in, changes go out.
//! Always holds: a copy comes to count only when it is level; one that is late for longer than the patience with it counts no more.

use std::collections::BTreeMap;

use crate::record::Member;

/// Who counts, and who is late since when.
#[derive(Debug, Default)]
pub struct Standing {
    counting: BTreeMap<Member, Option<u64>>,
}

/// How a copy is.
pub struct Look<'a> {
    /// Who keeps it.
    pub holder: &'a Member,
    /// It lacks nothing but what is under way.
    pub level: bool,
    /// Why it is late, if it is.
    pub late: Option<&'a str>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This copy counts from now on.
    Counts(Member),
    /// This copy counts no more; why, in words.
    CountsNoMore(Member, String),
}

impl Standing {
    /// Whether this one's copy counts.
    pub fn counts(&self, holder: &Member) -> bool {
        self.counting.contains_key(holder)
    }

    /// Those whose copies count.
    pub fn counting(&self) -> impl Iterator<Item = &Member> {
        self.counting.keys()
    }

    /// Looks at all copies of one journal, with so much patience for those that are late.
    pub fn step<'a>(&mut self, now_ms: u64, patience_ms: u64, looks: impl Iterator<Item = Look<'a>>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut unseen: Vec<Member> = self.counting.keys().cloned().collect();
        for look in looks {
            unseen.retain(|holder| holder != look.holder);
            let Some(late_since) = self.counting.get_mut(look.holder) else {
                if look.level {
                    self.counting.insert(look.holder.clone(), None);
                    changes.push(Change::Counts(look.holder.clone()));
                }
                continue;
            };
            let Some(why) = look.late else {
                *late_since = None;
                continue;
            };
            let since_ms = *late_since.get_or_insert(now_ms);
            if now_ms - since_ms >= patience_ms {
                self.counting.remove(look.holder);
                changes.push(Change::CountsNoMore(look.holder.clone(), why.into()));
            }
        }
        for holder in unseen {
            self.counting.remove(&holder);
            changes.push(Change::CountsNoMore(holder, String::from("it is not asked to keep one any more")));
        }
        changes
    }
}

/// A link that breaks and comes back in this time costs clients a wait, and no mail is refused. Milliseconds.
pub const PATIENCE_MS: u64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_counts_when_level_and_no_more_when_late_for_long() {
        let b = Member { node: "b".into(), disk: 1 };
        let look = |level: bool, late: Option<&'static str>| std::iter::once(Look { holder: &b, level, late });
        let mut standing = Standing::default();
        assert_eq!(standing.step(0, PATIENCE_MS, look(false, Some("it has to catch up"))), []);
        assert_eq!(standing.step(1, PATIENCE_MS, look(true, None)), [Change::Counts(b.clone())]);
        assert_eq!(standing.step(2, PATIENCE_MS, look(false, Some("away"))), []);
        assert_eq!(standing.step(PATIENCE_MS, PATIENCE_MS, look(false, None)), [], "it is back");
        assert_eq!(standing.step(PATIENCE_MS + 9, PATIENCE_MS, look(true, Some("it lacks 9 bytes"))), []);
        let late = standing.step(2 * PATIENCE_MS + 9, PATIENCE_MS, look(true, Some("it lacks 9 bytes")));
        assert_eq!(late, [Change::CountsNoMore(b.clone(), "it lacks 9 bytes".into())]);
        assert!(!standing.counts(&b));
        standing.step(20_000, PATIENCE_MS, look(true, None));
        assert_eq!(standing.step(20_000, PATIENCE_MS, std::iter::empty()).len(), 1, "it was let go");
    }
}
