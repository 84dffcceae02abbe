//! What is wrong or doubtful between recipients, groups, contacts and rules of an organization document.

use super::document::Document;
use super::recipient::PlacedEntry;
use super::section::At;
use crate::domain::{AcceptedDomain, DomainMap};
use crate::recipients::Is;
use crate::rule::Rule;
use mail::Mailbox;
use std::collections::{HashMap, HashSet};

/// Who has an address, by its lower case.
type Known<'r> = HashMap<String, (&'r PlacedEntry, usize)>;

type Domains<'d> = DomainMap<&'d AcceptedDomain>;

/// Problems and warnings between recipients.
pub fn check(document: &Document<'_>, entries: &[PlacedEntry], domains: &[At<AcceptedDomain>]) {
    let mut known = Known::new();
    let domains = &by_name(domains);
    for entry in entries {
        for address in &entry.addresses {
            own_address(document, domains, address);
            let name = address.value.as_str().to_lowercase();
            if let Some((other, first)) = known.get(&name) {
                let (line, whose) = (document.line_of(*first), &other.entry.address);
                let text = match std::ptr::eq(*other, entry) {
                    true => format!("{} is written twice (line {line}); remove one", address.value),
                    false => format!(
                        "{} is an address of {whose} already (line {line}); an address belongs to one recipient",
                        address.value
                    ),
                };
                document.problem(address.at, text);
            } else {
                known.insert(name, (entry, address.at));
            }
        }
    }
    for entry in entries {
        for target in &entry.targets {
            if !exists(&known, domains, &target.value) {
                let text = format!(
                    "{} is in a domain of ours and among no recipients; mail to it would come back",
                    target.value
                );
                document.warning(target.at, text);
            }
        }
    }
    loops(document, &known, entries);
}

/// An address of a recipient must be in a domain of ours: for others RCPT is relaying, and nobody looks here.
fn own_address(document: &Document<'_>, domains: &Domains<'_>, address: &At<Mailbox>) {
    if domains.get(address.value.domain()).is_none() {
        let domain = address.value.domain_lower();
        let text = format!("{} is in none of our domains; add an [[accepted_domain]] named {domain}", address.value);
        document.problem(address.at, text);
    }
}

fn by_name(domains: &[At<AcceptedDomain>]) -> Domains<'_> {
    let mut map = Domains::default();
    domains.iter().for_each(|domain| map.insert(&domain.value.name, &domain.value));
    map
}

/// It is outside, or nobody can say, or it is there. (Recipients of a directory server are not known here: a domain that lists none takes all.)
fn exists(known: &Known<'_>, domains: &Domains<'_>, address: &Mailbox) -> bool {
    match domains.get(address.domain()) {
        Some(domain) => {
            !domain.refuses_unknown
                || domain.lists(address.local())
                || known.contains_key(&address.as_str().to_lowercase())
        }
        None => true,
    }
}

/// Circles. Each is told once, where it closes. (Visits every entry and every target once.)
fn loops(document: &Document<'_>, known: &Known<'_>, entries: &[PlacedEntry]) {
    let mut seen: HashSet<*const PlacedEntry> = HashSet::new();
    for start in entries {
        if !seen.insert(start) {
            continue;
        }
        // The way to where we are: each entry with the number of its next target.
        let mut way: Vec<(&PlacedEntry, usize)> = vec![(start, 0)];
        while let Some((entry, next)) = way.last_mut() {
            let Some(target) = entry.targets.get(*next) else {
                way.pop();
                continue;
            };
            *next += 1;
            let Some((to, _)) = known.get(&target.value.as_str().to_lowercase()) else { continue };
            if let Some(from) = way.iter().position(|(on_the_way, _)| std::ptr::eq(*on_the_way, *to)) {
                let circle: Vec<&PlacedEntry> = way[from..].iter().map(|(entry, _)| *entry).collect();
                tell_circle(document, target, &circle);
            } else if seen.insert(*to) {
                way.push((to, 0));
            }
        }
    }
}

/// A group in the circle is cut where it closes, and a mailbox that keeps a copy ends it. One of nothing but forwarding is a hole.
fn tell_circle(document: &Document<'_>, at: &At<Mailbox>, circle: &[&PlacedEntry]) {
    let names = circle.iter().chain(circle.first()).map(|entry| entry.entry.address.as_str());
    let way = names.collect::<Vec<_>>().join(" -> ");
    let keeps = |entry: &PlacedEntry| entry.entry.forward.as_ref().is_some_and(|forward| forward.keep_copy);
    if circle.iter().any(|entry| matches!(entry.entry.is, Is::Group { .. })) {
        let text = format!("this group contains itself ({way}); each member gets mail once all the same");
        document.warning(at.at, text);
    } else if circle.iter().any(|entry| keeps(entry)) {
        document.warning(
            at.at,
            format!("mail is forwarded in a circle ({way}); each mailbox that keeps a copy gets it once"),
        );
    } else {
        document.problem(
            at.at,
            format!("mail would be forwarded round and round ({way}); break the circle, or set keep_copy in it"),
        );
    }
}

/// Problems of rules: names twice are told elsewhere; here their order.
pub fn check_rules(document: &Document<'_>, rules: &[At<Rule>]) {
    let Some(sized) = rules.iter().position(|rule| rule.value.over_bytes.is_some()) else { return };
    for late in rules[sized..].iter().filter(|rule| rule.value.action.tags()) {
        let (name, line) = (&rules[sized].value.name, document.line_of(rules[sized].at));
        let text = match late.value.over_bytes {
            Some(_) => {
                "a rule with size_over cannot tag: the header is on its way before the size is known".to_string()
            }
            None => format!(
                "this rule tags, and stands behind \"{name}\" with size_over (line {line}): the header is on its way before the size is known; put it in front of that one"
            ),
        };
        document.problem(late.at, text);
    }
}
