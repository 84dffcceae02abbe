//! What the answers about a domain mean for its mail (RFC 5321 5.1, RFC 7505): a pure function over answers.
//!
//! Always holds: what is told as "never" rests on an authoritative "no", not on a server that did not answer.

use mail::{Enhanced, Reply};

/// What name servers said to a question for MX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MxAnswer {
    /// Preference and host of each record; `.` is the empty name.
    Records(Vec<(u16, String)>),
    /// The domain is there and has no MX.
    NoRecords,
    /// There is no such domain.
    NoDomain,
    /// No answer that counts.
    Unknown(String),
}

/// Hosts to be tried in this order, or the reply that the recipients of the domain get: 5xx never, 4xx later.
pub(super) fn exchangers(
    domain: &str,
    answer: MxAnswer,
    own_names: &[String],
    chance: &mut dyn FnMut(u64) -> u64,
) -> Result<Vec<String>, Reply> {
    let records = match answer {
        MxAnswer::Records(records) => records,
        // The implicit MX: the domain itself (RFC 5321 5.1).
        MxAnswer::NoRecords => vec![(0, domain.to_owned())],
        MxAnswer::NoDomain => return Err(Reply::new(550, Enhanced::new(5, 1, 2), "domain does not exist")),
        MxAnswer::Unknown(why) => {
            return Err(Reply::of(
                451,
                Enhanced::new(4, 4, 3),
                format!("name servers do not tell where mail goes: {why}"),
            ));
        }
    };
    // RFC 7505: a lone "." says that the domain takes no mail. Beside other records it is an error and means nothing.
    if records.iter().all(|(_, host)| host.is_empty()) {
        return Err(Reply::new(556, Enhanced::new(5, 1, 10), "domain takes no mail (null MX)"));
    }
    let mut hosts: Vec<(u16, u64, String)> = records
        .into_iter()
        .filter(|(_, host)| !host.is_empty())
        .map(|(preference, host)| (preference, chance(u64::MAX), host.to_lowercase()))
        .collect();
    // Equal preferences in an order of chance, drawn anew for each attempt.
    hosts.sort();
    // Ourselves, and what is as far away or farther, is cut off: mail would come back here.
    if let Some(own) = hosts.iter().find(|(_, _, host)| own_names.contains(host)).map(|(preference, ..)| *preference) {
        hosts.retain(|(preference, ..)| *preference < own);
    }
    if hosts.is_empty() {
        return Err(Reply::new(554, Enhanced::new(5, 4, 6), "mail for the domain loops back to this host"));
    }
    hosts.truncate(EXCHANGERS_MAX);
    Ok(hosts.into_iter().map(|(_, _, host)| host).collect())
}

/// Hosts of one domain that are tried in one attempt.
const EXCHANGERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answer: MxAnswer) -> Result<Vec<String>, u16> {
        let mut last = 0;
        let mut chance = |_| {
            last += 1;
            last
        };
        exchangers("example.org", answer, &["relay.test".to_owned()], &mut chance)
            .map_err(|reply| reply.enhanced.map_or(0, |e| u16::from(e.class) * 100 + e.subject * 10 + e.detail))
    }

    fn records(records: &[(u16, &str)]) -> MxAnswer {
        MxAnswer::Records(records.iter().map(|(preference, host)| (*preference, (*host).to_owned())).collect())
    }

    #[test]
    fn the_table_of_rfc_5321_5_1() {
        let hosts = |names: &[&str]| Ok(names.iter().map(|n| (*n).to_owned()).collect());
        let table: [(MxAnswer, Result<Vec<String>, u16>); 10] = [
            (records(&[(20, "b"), (10, "A")]), hosts(&["a", "b"])),
            (MxAnswer::NoRecords, hosts(&["example.org"])),
            (MxAnswer::NoDomain, Err(512)),
            (MxAnswer::Unknown("timed out".to_owned()), Err(443)),
            (records(&[(0, "")]), Err(520)),
            (records(&[(0, ""), (10, "a")]), hosts(&["a"])),
            (records(&[(10, "a"), (20, "Relay.test"), (20, "b"), (30, "c")]), hosts(&["a"])),
            (records(&[(10, "relay.test"), (20, "b")]), Err(546)),
            (records(&[]), Err(520)),
            (records(&[(5, "c"), (5, "d")]), hosts(&["c", "d"])),
        ];
        for (answer, expected) in table {
            assert_eq!(ask(answer.clone()), expected, "{answer:?}");
        }
    }

    #[test]
    fn equal_preferences_are_shuffled_and_unequal_ones_are_not() {
        let mut falling = u64::MAX;
        let mut chance = |_| {
            falling -= 1;
            falling
        };
        let answer = records(&[(5, "a"), (5, "b"), (1, "z")]);
        assert_eq!(exchangers("x", answer, &[], &mut chance).ok(), Some(vec!["z".into(), "b".into(), "a".into()]));
    }
}
