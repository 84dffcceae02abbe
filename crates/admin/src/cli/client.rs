//! Owns the client's end of the API. Knows no verb.
//! Always holds: a node that does not answer is told apart from one that says no.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api;

/// Why a verb was not done.
#[derive(Debug)]
pub enum Trouble {
    /// It makes no sense.
    Usage(String),
    /// Nobody is there.
    NoNode(String),
    /// The node, or the system, said no.
    Failed(String),
}

impl Trouble {
    /// For the shell.
    pub fn exit_code(&self) -> u8 {
        match self {
            Trouble::Failed(_) => 1,
            Trouble::Usage(_) => 2,
            Trouble::NoNode(_) => 3,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Usage(text) | Trouble::NoNode(text) | Trouble::Failed(text) => f.write_str(text),
        }
    }
}

/// Asks one node.
pub struct Client {
    url: String,
    authority: String,
    login: String,
    who: String,
}

impl Client {
    /// For `url`, or `POSTHOUSE_URL`, or the default.
    pub fn new(url: Option<String>) -> Result<Client, Trouble> {
        let url = url.or_else(|| std::env::var("POSTHOUSE_URL").ok()).unwrap_or_else(|| DEFAULT_URL.into());
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').to_string());
        let authority = authority.filter(|authority| !authority.is_empty() && !authority.contains('/'));
        let authority =
            authority.ok_or_else(|| Trouble::Usage(format!("'{url}' is not like http://127.0.0.1:8025")))?;
        let authority = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority,
            _ => format!("{authority}:80"),
        };
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let user = user.unwrap_or_else(|| "somebody".into());
        Ok(Client { url, authority, who: format!("{user} by command line"), login: user })
    }

    /// Who runs this command.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Trouble> {
        let bytes = self.get_bytes(&format!("{path}{}", query_text(query))).await?;
        self.parse(&bytes)
    }

    /// Reads something that is not JSON.
    pub async fn get_bytes(&self, path: &str) -> Result<Bytes, Trouble> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Changes something.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Trouble> {
        let body = serde_json::to_vec(body).map_err(|error| Trouble::Failed(error.to_string()))?;
        let bytes = self.ask(Method::POST, path, body.into()).await?;
        self.parse(&bytes)
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Trouble> {
        serde_json::from_slice(bytes).map_err(|error| {
            Trouble::Failed(format!("{} gives an answer that this version does not understand: {error}", self.url))
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Trouble> {
        let no_node = |error: &dyn fmt::Display| {
            Trouble::NoNode(format!(
                "no node answers at {} ({error}); is it running? POSTHOUSE_URL or --url names another",
                self.url
            ))
        };
        let stream = timeout(CONNECT_MAX, TcpStream::connect(&self.authority)).await;
        let stream = stream.map_err(|_| no_node(&"no answer"))?.map_err(|error| no_node(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_node(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(api::WHO, &self.who)
            .body(Full::new(body))
            .map_err(|error| Trouble::Usage(error.to_string()))?;
        let response = timeout(ANSWER_MAX, sender.send_request(request)).await;
        let response = response.map_err(|_| no_node(&"no answer within a minute"))?.map_err(|error| no_node(&error))?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(|error| no_node(&error))?.to_bytes();
        match status.is_success() {
            true => Ok(bytes),
            false => Err(self.refusal(status, &bytes)),
        }
    }

    fn refusal(&self, status: StatusCode, bytes: &[u8]) -> Trouble {
        match serde_json::from_slice::<api::Error>(bytes) {
            Ok(api::Error { error, what_to_do }) => Trouble::Failed(format!("{error}; {what_to_do}")),
            Err(_) => Trouble::NoNode(format!(
                "what answers at {} is no Posthouse (HTTP {status}); --url names another",
                self.url
            )),
        }
    }
}

/// A part of a path, `/` and everything else that is no plain letter or digit escaped.
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `?key=value&...` of the fields that are set.
fn query_text(query: &impl Serialize) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else { return String::new() };
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let pairs = fields.iter().filter(|(_, value)| !value.is_null());
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", segment(&text(value)))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

const DEFAULT_URL: &str = "http://127.0.0.1:8025";
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TraceQuery;

    #[test]
    fn queries_and_names_are_escaped() {
        assert_eq!(segment("lmtp:unix:/run/x"), "lmtp%3Aunix%3A%2Frun%2Fx");
        let query = TraceQuery { to: Some("a&b=c@x".into()), limit: Some(5), ..TraceQuery::default() };
        assert_eq!(query_text(&query), "?limit=5&to=a%26b%3Dc%40x");
        assert_eq!(query_text(&TraceQuery::default()), "");
    }

    #[test]
    fn only_http_addresses_are_asked() {
        assert_eq!(Client::new(Some("http://[::1]/".into())).map(|c| c.authority).ok(), Some("[::1]:80".into()));
        assert!(Client::new(Some("https://x".into())).is_err());
        assert!(Client::new(Some("http://x/api".into())).is_err());
    }
}
