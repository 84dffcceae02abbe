//! Owns one HTTP/1.1 connection to one endpoint: dialled with a bound, answers read with a bound.
//! Knows no etcd words but the path. Always holds: it is known of each failure whether the request may have left.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;
use super::error::Error;
use super::wire::{Refusal, parse};

/// A request on its way to whichever endpoint takes it.
pub(super) struct Call<'a> {
    pub path: &'static str,
    pub body: Bytes,
    pub token: Option<&'a str>,
}

/// An open connection that carries one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Connection {
    /// Dials and shakes hands within `bound`.
    pub async fn open(to: &Endpoint, tls: &Arc<ClientConfig>, bound: Duration) -> Result<Connection, Error> {
        let opened = timeout(bound, Connection::dial(to, tls)).await;
        match opened {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(what)) => Err(Error::not_sent(format_args!("{to}: {what}"))),
            Err(_) => Err(Error::not_sent(format_args!("{to}: no connection within {} ms", bound.as_millis()))),
        }
    }

    async fn dial(to: &Endpoint, tls: &Arc<ClientConfig>) -> Result<Connection, String> {
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(|error| error.to_string())?;
        // Requests are small and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let host = HeaderValue::from_str(&to.authority()).map_err(|error| error.to_string())?;
        let sender = if to.tls {
            let name = to.server_name()?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
            shake(stream.map_err(|error| format!("TLS: {error}"))?).await?
        } else {
            shake(stream).await?
        };
        Ok(Connection { sender, host })
    }

    /// Whether the other end has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn send(&mut self, call: &Call<'_>) -> Result<Response<Incoming>, Error> {
        let request = self.request(call)?;
        if let Err(error) = self.sender.ready().await {
            return Err(Error::not_sent(error));
        }
        self.sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            // hyper hands the request back: not a byte of it has left.
            Some(_) => Error::not_sent(error.error()),
            None => Error::unknown(error.error()),
        })
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::post(call.path)
            .header(HOST, self.host.clone())
            .header(CONTENT_TYPE, "application/json")
            // A member that has lost its leader ends the stream instead of going on in silence.
            .header("Grpc-Metadata-hasleader", "true");
        if let Some(token) = call.token {
            let mut token = HeaderValue::from_str(token).map_err(|error| Error::Garbled(error.to_string()))?;
            token.set_sensitive(true);
            request = request.header(AUTHORIZATION, token);
        }
        request.body(Full::new(call.body.clone())).map_err(|error| Error::Refused(error.to_string()))
    }
}

async fn shake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("HTTP: {error}"))?;
    // It ends when the sender is dropped or the other end closes; the request in flight gets the error.
    tokio::spawn(connection);
    Ok(sender)
}

/// Reads a whole answer of at most [`ANSWER_BYTES_MAX`]; a status other than 200 becomes the error that it means.
pub(super) async fn whole(answer: Response<Incoming>) -> Result<Vec<u8>, Error> {
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Error::unknown)?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(Error::TooLarge(format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(data);
    }
    if status == 200 { Ok(bytes) } else { Err(refusal(status, &bytes)) }
}

/// What an answer that is not 200 means.
pub(super) fn refusal(status: u16, body: &[u8]) -> Error {
    match parse::<Refusal>(body) {
        Ok(refusal) => Error::of_refusal(status, refusal),
        // The one refusal that is plain text: authentication is on, and our certificate has a common name, which the gateway
        // cannot pass on as a user.
        Err(_) if body.starts_with(b"CommonName of client") => {
            Error::Auth("our client certificate must have no common name (CN) when etcd has authentication on".into())
        }
        Err(_) => {
            let start = String::from_utf8_lossy(&body[..body.len().min(100)]);
            Error::Garbled(format!("HTTP {status}: {}", start.trim().escape_debug()))
        }
    }
}

/// Bytes of one answer, or of one line of a stream, that we are ready to hold. etcd's own bound for a request is 1.5 MiB.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;
