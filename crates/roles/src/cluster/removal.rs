//! Owns the decision what may be deleted of a node that never comes back. Pure. Always holds: a journal that somebody delivers, or can
//! take over, is never deleted; one that nobody can take over only by an order that says so.

use cluster::etcd::Revision;
use cluster::record::{JournalName, Record};
use cluster::view::View;

/// What is to be done in etcd.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Records of journals that are delivered: they are deleted.
    pub forget: Vec<(JournalName, Revision)>,
    /// Journals whose mail is given up.
    pub give_up: Vec<(JournalName, Revision, Record)>,
}

/// Why nothing is done; for people, with what to do.
#[derive(Debug, PartialEq, Eq)]
pub enum No {
    /// Not now, or not at all.
    Busy(String, String),
    /// There is nothing of that name.
    Unknown,
}

/// What of `node` can go.
pub fn plan(view: &View, node: &str, lose_its_mail: bool) -> Result<Plan, No> {
    let is_here = view.nodes.contains_key(node);
    let (mut plan, mut found) = (Plan::default(), is_here);
    for (name, journal) in &view.journals {
        let Some((at, record)) = &journal.record else { continue };
        if name.node != node && record.owner.node != node {
            continue;
        }
        found = true;
        match () {
            // A node that is there tidies up by itself.
            () if record.drained && is_here => {}
            () if record.drained => plan.forget.push((name.clone(), *at)),
            () if view.is_alive(&record.owner) && record.owner.node == node => {}
            () if view.is_alive(&record.owner) && is_here => {}
            () if view.is_alive(&record.owner) => {
                let error = format!("{} still delivers {name}", record.owner);
                return Err(No::Busy(error, "ask again when that is done; posthouse cluster status shows it".into()));
            }
            () if journal.holder.is_some() => {
                let error = format!("the lease of {} on {name} has not ended yet", record.owner);
                return Err(No::Busy(error, "ask again in some seconds".into()));
            }
            () => match record.level.iter().find(|member| view.is_alive(member)) {
                Some(taker) => {
                    let error = format!("{taker} can take {name} over, and does so by itself");
                    return Err(No::Busy(
                        error,
                        "ask again when its mail is delivered; posthouse cluster status shows it".into(),
                    ));
                }
                None if lose_its_mail => plan.give_up.push((name.clone(), *at, record.clone())),
                None => return Err(orphan(name, record)),
            },
        }
    }
    match () {
        () if !found => Err(No::Unknown),
        () if is_here && plan == Plan::default() => {
            let error = format!("{node} is there, and owns its journal");
            Err(No::Busy(error, format!("posthouse node drain {node} --hand-over first; it may be switched off then")))
        }
        () => Ok(plan),
    }
}

fn orphan(name: &JournalName, record: &Record) -> No {
    let mut able = vec![format!("{} with the disk that it had", record.owner)];
    able.extend(record.level.iter().map(ToString::to_string).filter(|holder| *holder != record.owner.node));
    let error = format!("nobody has the journal {name}: it waits for {}", able.join(" or "));
    let what_to_do = "start one of them, and nothing is lost; --lose-its-mail gives up what is in it: mail that was answered with 250 \
                      and may not be delivered yet";
    No::Busy(error, what_to_do.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::record::{Holder, Member, NodeRecord};

    fn member(node: &str, disk: u64) -> Member {
        Member { node: node.into(), disk }
    }

    /// n1 and n3 are there with disk 1.
    fn view(journals: &[(&str, Member, &[&str], bool, bool)]) -> View {
        let mut view = View { at: 9, ..View::default() };
        view.nodes =
            ["n1", "n3"].map(|name| (name.to_string(), NodeRecord { disk: 1, ..NodeRecord::default() })).into();
        for (name, owner, level, held, drained) in journals {
            let level = level.iter().map(|node| member(node, 1)).collect();
            let record = Record { level, drained: *drained, ..Record::new(7, owner.clone()) };
            let journal = view.journals.entry(JournalName::parse(name).unwrap()).or_default();
            journal.holder = held.then(|| (5, Holder { member: owner.clone(), epoch: 256 }));
            journal.record = Some((4, record));
        }
        view
    }

    #[test]
    fn only_what_nobody_needs_goes() {
        let no = |view: &View, node: &str, lose: bool| match plan(view, node, lose) {
            Err(No::Busy(error, _)) => error,
            other => format!("{other:?}"),
        };
        let delivered = view(&[("n2/a", member("n3", 1), &[], false, true)]);
        assert_eq!(plan(&delivered, "n2", false).unwrap().forget, [(JournalName::parse("n2/a").unwrap(), 4)]);
        assert_eq!(plan(&delivered, "n4", true), Err(No::Unknown));

        let being = view(&[("n2/a", member("n3", 1), &["n1"], true, false)]);
        assert!(no(&being, "n2", true).contains("n3 still delivers n2/a"));
        let dying = view(&[("n2/a", member("n2", 1), &["n1"], true, false)]);
        assert!(no(&dying, "n2", true).contains("has not ended yet"));
        let takeable = view(&[("n2/a", member("n2", 1), &["n1"], false, false)]);
        assert!(no(&takeable, "n2", true).contains("n1 can take n2/a over"));
        let alive = view(&[("n3/a", member("n3", 1), &["n1"], true, false)]);
        assert!(no(&alive, "n3", true).contains("n3 is there"));

        let orphan = view(&[("n2/a", member("n2", 1), &["n4"], false, false)]);
        assert!(no(&orphan, "n2", false).contains("waits for n2 with the disk that it had or n4"));
        assert_eq!(plan(&orphan, "n2", true).unwrap().give_up.len(), 1);
        // Of a node that came back with another disk only the lost disk's journal goes.
        let anew =
            view(&[("n3/old", member("n3", 8), &[], false, false), ("n3/a", member("n3", 1), &["n1"], true, false)]);
        assert!(no(&anew, "n3", false).contains("n3/old"));
        let names: Vec<String> =
            plan(&anew, "n3", true).unwrap().give_up.iter().map(|(name, ..)| name.to_string()).collect();
        assert_eq!(names, ["n3/old"]);
        // A journal of another node that the lost one had taken over goes with it.
        let took = view(&[("n1/old", member("n2", 1), &[], false, false)]);
        assert_eq!(plan(&took, "n2", true).unwrap().give_up.len(), 1);
    }
}
