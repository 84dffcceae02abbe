//! Owns how the possible duplicates of a journal are told: counted, and each one named in the log. Knows no journal: the spool knows which
//! they are, and says so in the trace of each.

use ::metrics::{counter, describe_counter};
use mail::MessageId;
use spool::Spool;
use tracing::warn;

/// Says which messages of a spool that was just opened a next hop may have had already; `journal` is its name, for people. Call it once
/// for each opening.
pub fn tell(journal: &str, spool: &Spool) {
    describe_counter!(
        "posthouse_possible_duplicates_total",
        "Messages found in journals that may have been delivered before: under way when the node died or the journal was taken over."
    );
    let ids = spool.possible_duplicates();
    counter!("posthouse_possible_duplicates_total").increment(ids.len() as u64);
    if ids.is_empty() {
        return;
    }
    let count = ids.len();
    match spool.is_doubtful() {
        true => warn!(
            journal,
            count,
            "the node of {journal} went on without this copy: each of the {count} messages in it may be delivered twice"
        ),
        false => warn!(
            journal,
            count,
            "{count} messages were under way when {journal} was last in use: each of them, and no other, may be delivered twice"
        ),
    }
    for some in ids.chunks(IDS_A_LINE) {
        let ids: Vec<String> = some.iter().map(MessageId::to_string).collect();
        warn!(journal, "possible duplicates: {}", ids.join(" "));
    }
}

/// A line of the log stays readable.
const IDS_A_LINE: usize = 32;
