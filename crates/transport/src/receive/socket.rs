//! The byte stream of a session: in the clear or under TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A TCP connection of which some bytes were read already (behind a PROXY header).
pub struct Tcp {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// A connection's stream.
pub enum Socket {
    /// In the clear.
    Plain(Tcp),
    /// Under TLS.
    Tls(Box<TlsStream<Tcp>>),
    /// Between the two, or after a handshake that failed.
    Gone,
}

impl Socket {
    /// A connection in the clear; `ahead` was read from it already.
    pub fn new(stream: TcpStream, ahead: Vec<u8>) -> Socket {
        Socket::Plain(Tcp { stream, ahead })
    }

    /// Reads what there is into `buffer`; 0 bytes are the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(buffer);
        let read = match self {
            Socket::Plain(tcp) => Pin::new(tcp).poll_read(cx, &mut into),
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, &mut into),
            Socket::Gone => return Poll::Ready(Ok(0)),
        };
        read.map_ok(|()| into.filled().len())
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Sees to it that what was written leaves (TLS keeps records back when the kernel takes no more).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(_) | Socket::Gone => Poll::Ready(Ok(())),
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    /// Says goodbye: TLS close notify and the end of the stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Socket::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Makes the TLS handshake as the server. After an error there is no stream any more.
    pub async fn start_tls(&mut self, acceptor: TlsAcceptor) -> io::Result<()> {
        let Socket::Plain(tcp) = std::mem::replace(self, Socket::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        *self = Socket::Tls(Box::new(acceptor.accept(tcp).await?));
        Ok(())
    }

    /// Version and cipher, if under TLS.
    pub fn tls(&self) -> Option<String> {
        match self {
            Socket::Tls(stream) => Some(crate::tls::describe(stream.get_ref().1)),
            Socket::Plain(_) | Socket::Gone => None,
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
