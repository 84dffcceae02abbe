//! Owns the byte stream to a peer: TCP, TLS over it, or a Unix socket. Knows no SMTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A connection to a peer.
pub(super) enum Wire {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Wire {
    /// The version and cipher of TLS, where there is TLS.
    pub fn tls_version(&self) -> Option<String> {
        let Wire::Tls(stream) = self else { return None };
        let session = stream.get_ref().1;
        let version = session.protocol_version()?.as_str().unwrap_or("TLS").to_owned();
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        Some(match cipher {
            Some(cipher) => format!("{} {cipher}", version.replace('_', ".")),
            None => version,
        })
    }

    /// Reads what there is; 0 bytes is the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let read = match self {
            Wire::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, &mut buf),
            Wire::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buf),
        };
        read.map_ok(|()| buf.filled().len())
    }

    /// Writes what goes out now.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
            Wire::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Sends what TLS holds back. Nothing to do for the others.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Wire::Tcp(_) | Wire::Unix(_) => Poll::Ready(Ok(())),
        }
    }
}
