//! Owns one watch on one connection: opened at a revision, read line by line until it breaks. Knows no healing.
//! Always holds: what it cannot understand ends it.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use super::calls::prefix_end;
use super::client::Client;
use super::connection::{ANSWER_BYTES_MAX, Connection};
use super::error::Error;
use super::lines::Lines;
use super::wire::{Base64, KeyValue, Revision, Streamed, WatchAnswer, parse};

/// A change under the watched prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key was written.
    Put(KeyValue),
    /// A key was deleted, or its lease ended.
    Gone {
        /// The key.
        key: String,
        /// When.
        at: Revision,
    },
}

impl Change {
    /// When it happened.
    pub fn at(&self) -> Revision {
        match self {
            Change::Put(kv) => kv.mod_revision,
            Change::Gone { at, .. } => *at,
        }
    }
}

/// What a line of the stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The watch stands.
    Opened,
    /// Changes, in the order of their revisions.
    Changes(Vec<Change>),
    /// Nothing has changed up to this revision.
    Nothing(Revision),
}

/// An open watch.
pub(super) struct Watch {
    /// The endpoint's index.
    pub at: usize,
    body: Incoming,
    lines: Lines,
    /// The stream lives as long as its connection.
    _connection: Connection,
}

impl Watch {
    /// Opens a watch of all keys under `prefix` from a revision on.
    pub async fn open(client: &Client, prefix: &str, from: Revision) -> Result<Watch, Error> {
        let request = json!({ "create_request": {
            "key": Base64(prefix.as_bytes()),
            "range_end": Base64(&prefix_end(prefix.as_bytes())),
            "start_revision": from.to_string(),
            "progress_notify": true,
        } });
        let (at, connection, body) = client.stream("/v3/watch", &request).await?;
        Ok(Watch { at, body, lines: Lines::new(ANSWER_BYTES_MAX), _connection: connection })
    }

    /// The next thing it says. Safe to be dropped and called again: what has arrived is kept.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        loop {
            if let Some(line) = self.lines.next() {
                return heard(&line);
            }
            match self.body.frame().await {
                None => return Err(Error::unknown("the watch ended")),
                Some(Err(error)) => return Err(Error::unknown(error)),
                Some(Ok(frame)) => {
                    let data = frame.data_ref().map_or(&[][..], |data| data);
                    self.lines
                        .push(data)
                        .map_err(|_| Error::TooLarge(format!("a watch line of more than {ANSWER_BYTES_MAX} bytes")))?;
                }
            }
        }
    }
}

fn heard(line: &[u8]) -> Result<Heard, Error> {
    let streamed: Streamed<WatchAnswer> = parse(line)?;
    if let Some(error) = streamed.error {
        return Err(Error::of_refusal(200, error.refusal()));
    }
    let answer = streamed.result.ok_or_else(|| Error::Garbled("a watch line without a result".into()))?;
    if answer.canceled {
        return Err(match answer.compact_revision {
            0 => Error::of_refusal(200, super::wire::StreamError::Text(answer.cancel_reason).refusal()),
            oldest => Error::Compacted { oldest },
        });
    }
    if answer.created {
        return Ok(Heard::Opened);
    }
    if answer.events.is_empty() {
        return Ok(Heard::Nothing(answer.header.revision));
    }
    let changes = answer.events.into_iter().map(|event| match event.kind.as_str() {
        "DELETE" => Change::Gone { at: event.kv.mod_revision, key: event.kv.key },
        _ => Change::Put(event.kv),
    });
    Ok(Heard::Changes(changes.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_3_4_are_understood() {
        let line =
            br#"{"result":{"header":{"revision":"9"},"events":[{"kv":{"key":"YQ==","mod_revision":"8","value":"Yg=="}},
            {"type":"DELETE","kv":{"key":"YQ==","mod_revision":"9"}}]}}"#;
        let Heard::Changes(changes) = heard(line).unwrap() else { panic!("changes") };
        assert_eq!(changes.iter().map(Change::at).collect::<Vec<_>>(), [8, 9]);
        assert_eq!(changes[1], Change::Gone { key: "a".into(), at: 9 });
        let compacted = br#"{"result":{"canceled":true,"compact_revision":"3"}}"#;
        assert_eq!(heard(compacted), Err(Error::Compacted { oldest: 3 }));
        assert_eq!(heard(br#"{"result":{"created":true}}"#), Ok(Heard::Opened));
        assert_eq!(heard(br#"{"result":{"header":{"revision":"12"}}}"#), Ok(Heard::Nothing(12)));
        let denied = br#"{"result":{"created":true,"canceled":true,"cancel_reason":"rpc error: code = PermissionDenied desc = etcdserver: permission denied"}}"#;
        assert!(matches!(heard(denied), Err(Error::Auth(_))));
        assert!(matches!(
            heard(br#"{"result":{"canceled":true,"cancel_reason":"etcdserver: no leader"}}"#),
            Err(Error::NoLeader(_))
        ));
        assert!(matches!(heard(b"{}"), Err(Error::Garbled(_))));
    }
}
