//! Random organizations, with groups in groups, forwarding and circles of both, against an oracle that follows every way to its end.

use super::*;
use directory::recipients::{Entry, Forward, Is, Recipients, Senders};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};

/// Addresses from this number on are outside.
const OURS: usize = 8;
const ALL: usize = 11;

#[derive(Clone, Debug)]
enum Node {
    Mailbox,
    Forward { to: usize, keep_copy: bool },
    Contact { to: usize },
    Group { members: Vec<usize>, dynamic: bool },
}

fn name(node: usize) -> String {
    if node < OURS { format!("n{node}@ours.example") } else { format!("n{node}@away.example") }
}

/// By an alias, if there is one.
fn other_name(node: usize, alias: bool) -> String {
    if alias && node < OURS { format!("A{node}@Ours.example") } else { name(node) }
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let members = || proptest::collection::vec(0..ALL, 0..4);
    let node = prop_oneof![
        2 => Just(Node::Mailbox),
        2 => (0..ALL, any::<bool>()).prop_map(|(to, keep_copy)| Node::Forward { to, keep_copy }),
        1 => (0..ALL).prop_map(|to| Node::Contact { to }),
        3 => (members(), any::<bool>()).prop_map(|(members, dynamic)| Node::Group { members, dynamic }),
    ];
    proptest::collection::vec(node, OURS)
}

/// Every second mailbox is one of the dynamic groups' members.
fn is_chosen(node: usize) -> bool {
    node.is_multiple_of(2)
}

fn entries(nodes: &[Node]) -> Vec<Entry> {
    let entry = |(at, node): (usize, &Node)| Entry {
        address: at_of(&name(at)),
        aliases: vec![at_of(&format!("a{at}@ours.example"))],
        is: match node {
            Node::Mailbox | Node::Forward { .. } => Is::Mailbox,
            Node::Contact { to } => Is::Contact { target: at_of(&name(*to)) },
            Node::Group { members, dynamic } => Is::Group {
                members: members.iter().map(|member| at_of(&other_name(*member, *dynamic))).collect(),
                having: if *dynamic { vec![("kind".into(), "chosen".into())] } else { Vec::new() },
            },
        },
        forward: match node {
            Node::Forward { to, keep_copy } => Some(Forward { to: at_of(&name(*to)), keep_copy: *keep_copy }),
            _ => None,
        },
        senders: Senders::Anybody,
        message_bytes_max: None,
        attributes: match node {
            Node::Mailbox | Node::Forward { .. } if is_chosen(at) => vec![("kind".into(), "Chosen".into())],
            _ => Vec::new(),
        },
    };
    nodes.iter().enumerate().map(entry).collect()
}

fn at_of(text: &str) -> Mailbox {
    at(text)
}

/// Everybody whom mail to `node` reaches: each way to its end, cut where it comes back to itself.
fn reaches(nodes: &[Node], node: usize, way: &mut Vec<usize>, found: &mut BTreeSet<String>) {
    if way.contains(&node) {
        return;
    }
    let Some(kind) = nodes.get(node) else {
        found.insert(name(node));
        return;
    };
    way.push(node);
    match kind {
        Node::Mailbox => _ = found.insert(name(node)),
        Node::Forward { to, keep_copy } => {
            if *keep_copy {
                found.insert(name(node));
            }
            reaches(nodes, *to, way, found);
        }
        Node::Contact { to } => reaches(nodes, *to, way, found),
        Node::Group { members, dynamic } => {
            members.iter().for_each(|member| reaches(nodes, *member, way, found));
            let chosen =
                |at: &usize| *dynamic && is_chosen(*at) && matches!(nodes[*at], Node::Mailbox | Node::Forward { .. });
            (0..nodes.len()).filter(chosen).for_each(|member| reaches(nodes, member, way, found));
        }
    }
    way.pop();
}

fn oracle(nodes: &[Node], to: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    reaches(nodes, to, &mut Vec::new(), &mut found);
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn expansion_is_what_the_oracle_says(
        nodes in nodes(),
        written in proptest::collection::vec((0..ALL, any::<bool>()), 1..4),
    ) {
        let base = with("");
        let org = base.with_recipients(&Recipients::of(entries(&nodes)).0);
        let names: Vec<String> = written.iter().map(|(to, alias)| other_name(*to, *alias)).collect();
        let mut got = envelope("ann@b.example", &names.iter().map(String::as_str).collect::<Vec<_>>());
        let expected: BTreeSet<String> = written.iter().flat_map(|(to, _)| oracle(&nodes, *to)).collect();
        let decided = Case::of(&org).decide(&mut got);
        let Ok(Decided { early, .. }) = decided else {
            prop_assert!(expected.is_empty(), "refused, and there is {expected:?}");
            return Ok(());
        };
        let all: Vec<String> = got.recipients.iter().map(|to| to.address.as_str().to_lowercase()).collect();
        let set: BTreeSet<String> = all.iter().cloned().collect();
        prop_assert_eq!(all.len(), set.len(), "somebody gets it twice: {:?}", all);
        prop_assert_eq!(&set, &expected);
        // Whoever leads to nobody is told about.
        let told: HashSet<String> = early.iter().flat_map(|early| {
            let original = early.recipient.orcpt.as_deref().unwrap_or_default().trim_start_matches("rfc822;");
            [early.recipient.address.as_str().to_lowercase(), original.to_lowercase()]
        }).collect();
        for (to, alias) in &written {
            if oracle(&nodes, *to).is_empty() {
                prop_assert!(told.contains(&other_name(*to, *alias).to_lowercase()), "{} is not told of: {:?}", name(*to), told);
            }
        }
        // What was decided is final: decided about once more, it goes to the same.
        let mut again = got.clone();
        prop_assert!(Case::of(&org).decide(&mut again).is_ok());
        let repeated: BTreeSet<String> = again.recipients.iter().map(|to| to.address.as_str().to_lowercase()).collect();
        prop_assert_eq!((again.recipients.len(), &repeated), (got.recipients.len(), &set));
    }
}
