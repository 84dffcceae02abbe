//! Owns etcd's single operations as functions. Knows no meaning of keys.
//! Always holds: a prefix is read page by page at one revision, so a page that is too large never hides what is behind it.

use serde::Serialize;
use serde_json::json;

use super::client::{Client, Twice, encode};
use super::error::Error;
use super::txn::Txn;
use super::wire::{
    Base64, EtcdMember, KeyValue, LeaseAnswer, MembersAnswer, RangeAnswer, Revision, StatusAnswer, Streamed, TxnAnswer,
    WriteAnswer, parse,
};

/// Everything under a prefix, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The revision it is of.
    pub at: Revision,
    /// Keys in order.
    pub keys: Vec<KeyValue>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whether the comparisons held and the changes were made.
    pub done: bool,
    /// The revision after it.
    pub at: Revision,
    /// What the branch that was taken read, one list per range.
    pub read: Vec<Vec<KeyValue>>,
}

/// A lease that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its number.
    pub id: i64,
    /// How long it lives without a keep-alive.
    pub ttl_ms: u64,
}

/// One endpoint's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its URL.
    pub endpoint: String,
    /// What it said, or why not.
    pub health: Result<Health, Error>,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// etcd's version.
    pub version: String,
    /// Size of its database in bytes.
    pub db_bytes: u64,
    /// Whether it knows a leader.
    pub has_leader: bool,
    /// Whether it is the leader.
    pub is_leader: bool,
}

impl Client {
    /// Reads one key, by consensus.
    pub async fn get(&self, key: &str) -> Result<(Revision, Option<KeyValue>), Error> {
        let answer: RangeAnswer =
            self.ask("/v3/kv/range", &json!({ "key": Base64(key.as_bytes()) }), Twice::Same).await?;
        Ok((answer.header.revision, answer.kvs.into_iter().next()))
    }

    /// Reads all keys that start with `prefix`, by consensus, all as of one revision.
    pub async fn read_prefix(&self, prefix: &str) -> Result<Whole, Error> {
        let end = prefix_end(prefix.as_bytes());
        let (mut from, mut limit) = (prefix.as_bytes().to_vec(), PAGE_KEYS);
        let mut whole = Whole::default();
        loop {
            let mut request = json!({ "key": Base64(&from), "range_end": Base64(&end), "limit": limit });
            if whole.at > 0 {
                request["revision"] = json!(whole.at.to_string());
            }
            let page: RangeAnswer = match self.ask("/v3/kv/range", &request, Twice::Same).await {
                Err(Error::TooLarge(_)) if limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                page => page?,
            };
            if whole.at == 0 {
                whole.at = page.header.revision;
            }
            whole.keys.extend(page.kvs);
            if whole.keys.len() > KEYS_MAX {
                return Err(Error::TooLarge(format!("more than {KEYS_MAX} keys under {prefix}")));
            }
            match whole.keys.last() {
                Some(last) if page.more => from = [last.key.as_bytes(), &[0]].concat(),
                _ => return Ok(whole),
            }
        }
    }

    /// Writes one key, under a lease if it is not 0. Doing it twice is the same but for the revision.
    pub async fn put(&self, key: &str, value: &[u8], lease: i64) -> Result<Revision, Error> {
        let request = json!({ "key": Base64(key.as_bytes()), "value": Base64(value), "lease": lease.to_string() });
        let answer: WriteAnswer = self.ask("/v3/kv/put", &request, Twice::Same).await?;
        Ok(answer.header.revision)
    }

    /// Deletes one key; tells whether it was there.
    pub async fn delete(&self, key: &str) -> Result<bool, Error> {
        let request = json!({ "key": Base64(key.as_bytes()) });
        let answer: WriteAnswer = self.ask("/v3/kv/deleterange", &request, Twice::Same).await?;
        Ok(answer.deleted > 0)
    }

    /// Decides a transaction. An error that is not [`Error::certainly_not_done`] leaves open whether it was, or will be, done.
    pub async fn decide(&self, txn: &Txn) -> Result<Decided, Error> {
        let answer: TxnAnswer = self.ask("/v3/kv/txn", txn, Twice::Differs).await?;
        let read = answer.responses.into_iter().filter_map(|response| Some(response.response_range?.kvs)).collect();
        Ok(Decided { done: answer.succeeded, at: answer.header.revision, read })
    }

    /// Asks for a lease. One whose answer got lost expires by itself.
    pub async fn grant(&self, ttl_s: u64) -> Result<Granted, Error> {
        let answer: LeaseAnswer =
            self.ask("/v3/lease/grant", &json!({ "TTL": ttl_s.to_string() }), Twice::Same).await?;
        if answer.id == 0 || answer.ttl <= 0 {
            return Err(Error::Garbled("a lease without number or time".into()));
        }
        Ok(Granted { id: answer.id, ttl_ms: answer.ttl as u64 * 1000 })
    }

    /// Keeps a lease alive once; the answer is its time to live from now on, in milliseconds.
    pub async fn keep_alive(&self, lease: i64) -> Result<u64, Error> {
        let request = json!({ "ID": lease.to_string() });
        let streamed: Streamed<LeaseAnswer> = self.ask("/v3/lease/keepalive", &request, Twice::Same).await?;
        match (streamed.result, streamed.error) {
            // A lease that is gone is answered without a TTL.
            (Some(answer), None) if answer.ttl <= 0 => Err(Error::LeaseGone),
            (Some(answer), None) => Ok(answer.ttl as u64 * 1000),
            (_, Some(error)) => Err(Error::of_refusal(200, error.refusal())),
            (None, None) => Err(Error::Garbled("a keep-alive without an answer".into())),
        }
    }

    /// Ends a lease, and with it all its keys. One that is gone is fine.
    pub async fn revoke(&self, lease: i64) -> Result<(), Error> {
        let request = json!({ "ID": lease.to_string() });
        match self.ask::<WriteAnswer>("/v3/lease/revoke", &request, Twice::Same).await {
            Ok(_) | Err(Error::LeaseGone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How long a lease has left, in milliseconds.
    pub async fn time_to_live(&self, lease: i64) -> Result<u64, Error> {
        let request = json!({ "ID": lease.to_string() });
        let answer: LeaseAnswer = self.ask("/v3/lease/timetolive", &request, Twice::Same).await?;
        if answer.ttl < 0 { Err(Error::LeaseGone) } else { Ok(answer.ttl as u64 * 1000) }
    }

    /// The members of the etcd cluster.
    pub async fn members(&self) -> Result<Vec<EtcdMember>, Error> {
        let answer: MembersAnswer = self.ask("/v3/cluster/member/list", &json!({}), Twice::Same).await?;
        Ok(answer.members)
    }

    /// Asks all endpoints at a time how they are; for people.
    pub async fn status(&self) -> Vec<EndpointStatus> {
        let ask = |at: usize| {
            let client = self.clone();
            tokio::spawn(async move { client.status_at(at).await })
        };
        let asked: Vec<_> = (0..self.endpoints().len()).map(ask).collect();
        let mut all = Vec::new();
        for (endpoint, asked) in self.endpoints().iter().zip(asked) {
            let health = asked.await.unwrap_or_else(|error| Err(Error::unknown(error)));
            all.push(EndpointStatus { endpoint: endpoint.to_string(), health });
        }
        all
    }

    async fn status_at(&self, at: usize) -> Result<Health, Error> {
        let body = encode(&json!({}))?;
        let answer: StatusAnswer = parse(&self.ask_at(at, "/v3/maintenance/status", &body).await?)?;
        Ok(Health {
            version: answer.version,
            db_bytes: answer.db_size,
            has_leader: answer.leader != 0,
            is_leader: answer.leader != 0 && answer.leader == answer.header.member_id,
        })
    }

    /// Forgets all revisions before `at`. For tests and for tools: etcd's own auto-compaction is the usual way.
    pub async fn compact(&self, at: Revision) -> Result<(), Error> {
        let request = json!({ "revision": at.to_string() });
        self.ask::<WriteAnswer>("/v3/kv/compaction", &request, Twice::Same).await.map(drop)
    }

    /// Any other request of the gateway, by its path; for set-up (users, roles) by tests and tools.
    pub async fn raw(&self, path: &'static str, request: &impl Serialize) -> Result<serde_json::Value, Error> {
        self.ask(path, request, Twice::Differs).await
    }

    /// The revision that one endpoint knows by consensus: proof that it is alive and in touch with its leader.
    pub(super) async fn revision_at(&self, at: usize, prefix: &str) -> Result<Revision, Error> {
        let request = json!({ "key": Base64(prefix.as_bytes()), "limit": 1, "keys_only": true });
        let answer: RangeAnswer = parse(&self.ask_at(at, "/v3/kv/range", &encode(&request)?).await?)?;
        Ok(answer.header.revision)
    }
}

/// The first key behind all that start with `prefix`; `\0` means "to the end", as etcd has it.
pub(super) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end;
        }
        end.pop();
    }
    vec![0]
}

/// Keys of one page.
const PAGE_KEYS: u32 = 500;

/// Keys under our prefix that we are ready to hold: nodes, journals and 50 old documents are far below it.
const KEYS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_of_it() {
        assert_eq!(prefix_end(b"/a/"), b"/a0");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), [0]);
        assert_eq!(prefix_end(b""), [0]);
    }
}
