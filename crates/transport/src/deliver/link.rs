//! What is different about a session with a server of our own organization: it is told where a message has been, a message never goes back
//! to a site that it has left, and a server that takes no mail now leaves it to the next one.

use super::connect::Peer;
use super::hop::Hop;
use super::parcel::Parcel;
use super::plan::{Plan, To};
use mail::{Enhanced, Journey, Reply};
use smtp::client::{Done, Outcome as Heard};
use spool::{Outcome, Work};

/// What the server is told of the message's journey: our own site is a part of it now. Servers of one site that hand a message on to each
/// other are counted by that too; on its way to another site once is enough.
pub(super) fn journey(plan: &Plan, peer: &Peer, work: &Work) -> Option<Journey> {
    let (To::Servers(candidates), Some(site)) = (&plan.to, &peer.site) else { return None };
    let mut journey = work.journey().clone();
    let own = &candidates.own_site;
    if site == own || journey.sites.last().is_none_or(|last| **last != **own) {
        journey.sites.push((&**own).into());
    }
    Some(journey)
}

/// The message has been in the site of this server. That can only be a site on the way back, where the target takes no mail: routes never
/// lead to a site that it has been in.
pub(super) fn has_left(plan: &Plan, peer: &Peer, work: &Work) -> bool {
    let (To::Servers(candidates), Some(site)) = (&plan.to, &peer.site) else { return false };
    **site != *candidates.target() && work.journey().has_been_in(site)
}

/// It waits here then.
pub(super) fn hold(hop: &Hop, peer: &Peer, work: Work) {
    let site = peer.site.as_deref().unwrap_or_default();
    let text = format!("message has been in site {site} and does not go back: it waits here for {}", hop.key);
    let reply = Reply::of(451, Enhanced::new(4, 4, 6), text);
    let outcome = Outcome::Deferred { reply };
    let outcomes: Vec<_> = work.recipients().map(|(index, _)| (index, outcome.clone())).collect();
    hop.center.metrics.deferred.increment(outcomes.len() as u64);
    hop.center.spool.settle(work, &peer.attempt(), &outcomes);
}

/// What the server said, if it takes no mail at all now: full, under pressure, without its copies. That is not about this message, and
/// another server may take it.
pub(super) fn unwilling(peer: &Peer, done: &Done<Parcel>) -> Option<Reply> {
    peer.server.as_ref()?;
    let is_of_server = |heard: &Heard| match heard {
        Heard::Later(reply) => is_of_server(reply),
        Heard::Accepted(_) | Heard::Never(_) | Heard::Uncertain(_) => false,
    };
    if !done.outcomes.iter().all(is_of_server) {
        return None;
    }
    done.outcomes.iter().find_map(|heard| match heard {
        Heard::Later(reply) => Some((**reply).clone()),
        _ => None,
    })
}

/// RFC 3463: X.3.X is the state of the mail system, and 4.4.0 is what we say where copies are missing.
fn is_of_server(reply: &Reply) -> bool {
    reply.enhanced.is_some_and(|code| code.subject == 3 || (code.subject, code.detail) == (4, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_not_about_the_message() {
        for (reply, of_server) in [
            (Reply::new(452, Enhanced::new(4, 3, 1), "no room"), true),
            (Reply::new(451, Enhanced::new(4, 3, 2), "not now"), true),
            (Reply::new(451, Enhanced::new(4, 4, 0), "no copies"), true),
            (Reply::new(451, Enhanced::new(4, 7, 1), "too many messages"), false),
            (Reply::new(450, Enhanced::new(4, 2, 0), "mailbox busy"), false),
            (Reply::new(451, Enhanced::new(4, 4, 4), "no route"), false),
            (Reply::plain(451, "later"), false),
        ] {
            assert_eq!(is_of_server(&reply), of_server, "{reply}");
        }
    }
}
