//! Owns how a request finds an etcd that answers: the endpoint in use, the next one when it fails, idle connections, the token.
//! Knows no single operation. Always holds: a request that may have been carried out is sent again only if doing it twice is
//! the same as doing it once.

use hyper::body::{Bytes, Incoming};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

use super::connection::{ANSWER_BYTES_MAX, Call, Connection, refusal, whole};
use super::endpoint::{Access, Endpoint};
use super::error::Error;
use super::wire::{AuthAnswer, parse};

/// etcd, whichever of its members answers. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// How long one attempt at one endpoint may take.
    attempt: Duration,
}

struct Shared {
    access: Access,
    tls: Arc<ClientConfig>,
    /// Index of the endpoint that answered last.
    current: AtomicUsize,
    /// Idle connections, by endpoint.
    idle: Vec<Mutex<Vec<Connection>>>,
    token: Mutex<Option<Arc<str>>>,
}

/// What doing a request twice means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    /// The same as once.
    Same,
    /// Not the same: the caller must know that the outcome is open.
    Differs,
}

impl Client {
    /// Checks the access and makes the TLS client; nothing is dialled yet. The error is for the operator.
    pub fn new(access: Access) -> Result<Client, String> {
        access.check()?;
        let tls = access.trust.client_config()?;
        let idle = access.endpoints.iter().map(|_| Mutex::default()).collect();
        let (current, token) = (AtomicUsize::new(0), Mutex::default());
        let attempt = Duration::from_millis(access.attempt_ms);
        Ok(Client { shared: Arc::new(Shared { access, tls, current, idle, token }), attempt })
    }

    /// The same client, which leaves an endpoint that is silent for `attempt_ms`: for what is of no use when it comes late.
    pub(super) fn hurried(&self, attempt_ms: u64) -> Client {
        Client { shared: Arc::clone(&self.shared), attempt: self.attempt.min(Duration::from_millis(attempt_ms)) }
    }

    /// The endpoints in the order of the configuration.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.shared.access.endpoints
    }

    /// Asks the endpoint in use, then each other one, until one answers.
    pub(super) async fn ask<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
        twice: Twice,
    ) -> Result<A, Error> {
        let body = encode(request)?;
        let mut last = Error::not_sent("no endpoint");
        for _ in 0..self.shared.access.endpoints.len() {
            let at = self.current();
            match self.ask_at(at, path, &body).await {
                Ok(answer) => return parse(&answer),
                Err(error) if !error.later() => return Err(error),
                Err(error) => {
                    self.leave(at);
                    if twice == Twice::Differs && !error.certainly_not_done() {
                        return Err(error);
                    }
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// Asks one endpoint, logging on (again) if it wants that.
    pub(super) async fn ask_at(&self, at: usize, path: &'static str, body: &Bytes) -> Result<Vec<u8>, Error> {
        let token = self.token_at(at).await?;
        let call = Call { path, body: body.clone(), token: token.as_deref() };
        match self.bounded(at, &call).await {
            // It refused before doing anything: with a new token the same request is safe.
            Err(error) if error.token_is_stale() && self.shared.access.user.is_some() => {
                self.forget_token(token.as_deref());
                let token = self.token_at(at).await?;
                self.bounded(at, &Call { path, body: body.clone(), token: token.as_deref() }).await
            }
            answer => answer,
        }
    }

    /// Opens a stream of answers at the endpoint in use, on a connection of its own. Returns the endpoint's index with it.
    pub(super) async fn stream(
        &self,
        path: &'static str,
        request: &impl Serialize,
    ) -> Result<(usize, Connection, Incoming), Error> {
        let body = encode(request)?;
        let at = self.current();
        let opened = self.open_stream(at, path, body).await;
        if let Err(error) = &opened
            && error.later()
        {
            self.leave(at);
        }
        opened
    }

    async fn open_stream(
        &self,
        at: usize,
        path: &'static str,
        body: Bytes,
    ) -> Result<(usize, Connection, Incoming), Error> {
        let token = self.token_at(at).await?;
        let mut connection = Connection::open(&self.endpoints()[at], &self.shared.tls, self.patience()).await?;
        let call = Call { path, body, token: token.as_deref() };
        let sent = timeout(self.patience(), connection.send(&call)).await;
        let answer = sent.unwrap_or_else(|_| Err(self.silent(at)))?;
        if answer.status().as_u16() == 200 {
            return Ok((at, connection, answer.into_body()));
        }
        let status = answer.status().as_u16();
        let bytes = timeout(self.patience(), whole(answer)).await.unwrap_or_else(|_| Err(self.silent(at)));
        let error = match bytes {
            Ok(bytes) => refusal(status, &bytes),
            Err(error) => error,
        };
        if error.token_is_stale() {
            self.forget_token(token.as_deref());
        }
        Err(error)
    }

    /// One request and its answer within the attempt's patience.
    async fn bounded(&self, at: usize, call: &Call<'_>) -> Result<Vec<u8>, Error> {
        let mut connection = match self.idle_at(at) {
            Some(connection) => connection,
            None => Connection::open(&self.endpoints()[at], &self.shared.tls, self.patience()).await?,
        };
        let answered = timeout(self.patience(), async {
            let answer = match connection.send(call).await {
                // An idle connection that the other end had given up; a fresh one tells more.
                Err(Error::Unreachable { maybe_done: false, .. }) => {
                    connection = Connection::open(&self.endpoints()[at], &self.shared.tls, self.patience()).await?;
                    connection.send(call).await?
                }
                answer => answer?,
            };
            whole(answer).await
        });
        // On a timeout the connection is dropped with the future: nobody may read the late answer as the next one's.
        let answer = answered.await.unwrap_or_else(|_| Err(self.silent(at)))?;
        let mut idle = self.shared.idle[at].lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_PER_ENDPOINT_MAX && !connection.is_closed() {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn idle_at(&self, at: usize) -> Option<Connection> {
        let mut idle = self.shared.idle[at].lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// The token, asked for when there is a user and none is known. One at a time is not needed: two tokens do no harm.
    async fn token_at(&self, at: usize) -> Result<Option<Arc<str>>, Error> {
        let Some((name, password)) = &self.shared.access.user else { return Ok(None) };
        if let Some(token) = self.token().clone() {
            return Ok(Some(token));
        }
        let body = encode(&serde_json::json!({ "name": name, "password": password }))?;
        let call = Call { path: "/v3/auth/authenticate", body, token: None };
        let answer = match self.bounded(at, &call).await {
            Ok(answer) => parse::<AuthAnswer>(&answer)?,
            // Authentication is switched off just now: work as everybody may.
            Err(Error::Refused(text)) if text.contains("authentication is not enabled") => return Ok(None),
            // Asking for a token changes nothing; the request itself has not been sent.
            Err(Error::Unreachable { what, .. }) => return Err(Error::not_sent(what)),
            Err(error) => return Err(error),
        };
        let token: Arc<str> = answer.token.into();
        *self.token() = Some(Arc::clone(&token));
        Ok(Some(token))
    }

    /// Forgets a token that was refused, unless there is a newer one already.
    pub(super) fn forget_token(&self, refused: Option<&str>) {
        let mut token = self.token();
        if refused.is_none() || token.as_deref() == refused {
            *token = None;
        }
    }

    fn token(&self) -> std::sync::MutexGuard<'_, Option<Arc<str>>> {
        self.shared.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn current(&self) -> usize {
        self.shared.current.load(Ordering::Relaxed) % self.shared.access.endpoints.len()
    }

    /// Goes on to the next endpoint, unless somebody else has.
    pub(super) fn leave(&self, at: usize) {
        let next = (at + 1) % self.shared.access.endpoints.len();
        let _ = self.shared.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How long one attempt may take.
    pub(super) fn patience(&self) -> Duration {
        self.attempt
    }

    fn silent(&self, at: usize) -> Error {
        Error::unknown(format_args!("{}: no answer within {} ms", self.endpoints()[at], self.attempt.as_millis()))
    }
}

pub(super) fn encode(request: &impl Serialize) -> Result<Bytes, Error> {
    let bytes = serde_json::to_vec(request).map_err(|error| Error::Refused(error.to_string()))?;
    if bytes.len() > ANSWER_BYTES_MAX {
        return Err(Error::TooLarge(format!("a request of {} bytes", bytes.len())));
    }
    Ok(Bytes::from(bytes))
}

/// Idle connections that are kept to one endpoint.
const IDLE_PER_ENDPOINT_MAX: usize = 4;
