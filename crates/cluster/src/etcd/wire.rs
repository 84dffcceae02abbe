//! Owns the shapes of etcd's JSON gateway: numbers that are written as text, keys and values in base64, fields left out when
//! they are zero. Knows no HTTP. Always holds: what does not parse is an error, never a panic, whoever sent it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

use super::error::Error;

/// Number of a change in etcd: grows with each transaction that changes something. 0 is "none".
pub type Revision = u64;

/// A key, its value, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// The key. One that is not UTF-8 is not ours and is shown with replacement characters.
    #[serde(deserialize_with = "text64")]
    pub key: String,
    /// The value.
    #[serde(deserialize_with = "bytes64")]
    pub value: Vec<u8>,
    /// When it was made.
    #[serde(deserialize_with = "number")]
    pub create_revision: Revision,
    /// When it was changed last.
    #[serde(deserialize_with = "number")]
    pub mod_revision: Revision,
    /// The lease it goes with; 0 for none.
    #[serde(deserialize_with = "number")]
    pub lease: i64,
}

/// What comes with every answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Which cluster answered.
    #[serde(deserialize_with = "number")]
    pub cluster_id: u64,
    /// Which member.
    #[serde(deserialize_with = "number")]
    pub member_id: u64,
    /// The revision of what it knows.
    #[serde(deserialize_with = "number")]
    pub revision: Revision,
}

/// A refusal: `error` and `message` say the same, in one of the two by version; a stream nests it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    error: Option<String>,
    message: Option<String>,
}

impl Refusal {
    pub(super) fn text(self) -> String {
        let mut text = self.message.or(self.error).unwrap_or_else(|| "no reason given".into());
        if let Some((at, _)) = text.char_indices().nth(REASON_CHARS_MAX) {
            text.truncate(at);
        }
        text
    }
}

/// Characters of a refusal that we keep.
const REASON_CHARS_MAX: usize = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeAnswer {
    pub header: Header,
    pub kvs: Vec<KeyValue>,
    pub more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WriteAnswer {
    pub header: Header,
    #[serde(deserialize_with = "number")]
    pub deleted: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnAnswer {
    pub header: Header,
    pub succeeded: bool,
    pub responses: Vec<OpAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpAnswer {
    pub response_range: Option<RangeAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LeaseAnswer {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub id: i64,
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub ttl: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthAnswer {
    pub token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusAnswer {
    pub header: Header,
    pub version: String,
    #[serde(deserialize_with = "number")]
    pub leader: u64,
    #[serde(rename = "dbSize", deserialize_with = "number")]
    pub db_size: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MembersAnswer {
    pub members: Vec<EtcdMember>,
}

/// One member of the etcd cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EtcdMember {
    /// Its number.
    #[serde(rename = "ID", deserialize_with = "number")]
    pub id: u64,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where clients reach it.
    #[serde(rename = "clientURLs")]
    pub client_urls: Vec<String>,
}

/// One answer in a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Streamed<T> {
    pub result: Option<T>,
    pub error: Option<StreamError>,
}

/// Why a stream ended: an object, or text in newer ones.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum StreamError {
    Nested(Refusal),
    Text(String),
}

impl StreamError {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            StreamError::Nested(refusal) => refusal,
            StreamError::Text(text) => Refusal { error: Some(text), message: None },
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchAnswer {
    pub header: Header,
    pub created: bool,
    pub canceled: bool,
    pub cancel_reason: String,
    #[serde(deserialize_with = "number")]
    pub compact_revision: Revision,
    pub events: Vec<WireEvent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireEvent {
    #[serde(rename = "type")]
    pub kind: String,
    pub kv: KeyValue,
}

/// Reads an answer.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Garbled(error.to_string()))
}

/// Bytes as the gateway wants them.
pub(super) struct Base64<'a>(pub &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

fn bytes64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(de::Error::custom)
}

fn text64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(String::from_utf8_lossy(&bytes64(deserializer)?).into_owned())
}

/// A number of 64 bits: text by the JSON mapping of protobuf, a plain number from other gateways.
fn number<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr + TryFrom<u64> + TryFrom<i64>,
{
    struct Number<T>(std::marker::PhantomData<T>);
    impl<T> Visitor<'_> for Number<T>
    where
        T: std::str::FromStr + TryFrom<u64> + TryFrom<i64>,
    {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a number, or a number as text")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(|_| E::custom(format_args!("'{text}' is not such a number")))
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::custom("a number out of range"))
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::custom("a number out of range"))
        }
    }
    deserializer.deserialize_any(Number(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_3_4_is_read() {
        let text = br#"{"header":{"cluster_id":"324952591200643719","revision":"4"},"kvs":[{"key":"YQ==","create_revision":"2",
            "mod_revision":4,"version":"2","value":"Yg==","lease":"-7"}],"count":"1"}"#;
        let answer: RangeAnswer = parse(text).unwrap();
        assert_eq!(answer.header.revision, 4);
        let kv = &answer.kvs[0];
        assert_eq!((kv.key.as_str(), kv.value.as_slice(), kv.mod_revision, kv.lease), ("a", &b"b"[..], 4, -7));
        assert!(!answer.more);
    }

    #[test]
    fn bent_answers_are_errors() {
        for text in [
            &b"404 page not found"[..],
            br#"{"kvs":[{"key":"*"}]}"#,
            br#"{"header":{"revision":"-1"}}"#,
            br#"{"header":{"revision":"99999999999999999999"}}"#,
            br#"{"kvs":{}}"#,
            b"",
        ] {
            assert!(matches!(parse::<RangeAnswer>(text), Err(Error::Garbled(_))), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn both_kinds_of_stream_error_are_read() {
        for text in [r#"{"error":{"grpc_code":14,"http_code":503,"message":"no leader"}}"#, r#"{"error":"no leader"}"#]
        {
            let streamed: Streamed<WatchAnswer> = parse(text.as_bytes()).unwrap();
            assert_eq!(streamed.error.unwrap().refusal().text(), "no leader");
        }
    }
}
