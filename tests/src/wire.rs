//! A connection that sends exactly the bytes it is told and reads lines back, in clear or under TLS.

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// One client connection.
pub struct Wire {
    stream: Stream,
    waiting: Vec<u8>,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    TlsTaken(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

impl Wire {
    pub fn connect(port: u16) -> Wire {
        Wire::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Over a connection that is there already.
    pub fn over(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire { stream: Stream::Clear(stream), waiting: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::TlsTaken(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The next line without its CRLF; `None` when the peer closed.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.waiting.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=at).collect();
                let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
                return Ok(Some(String::from_utf8_lossy(text).into_owned()));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.waiting.len() < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.waiting.drain(..count).collect())
    }

    /// Reads what is there; 0 when the peer closed.
    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = match &mut self.stream {
            Stream::Clear(stream) => stream.read(&mut buffer),
            Stream::Tls(stream) => stream.read(&mut buffer),
            Stream::TlsTaken(stream) => stream.read(&mut buffer),
            Stream::Gone => Ok(0),
        };
        match count {
            Ok(count) => self.waiting.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset || e.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(0);
            }
            Err(e) => return Err(e),
        }
        count
    }

    /// A whole reply, its lines.
    pub fn reply(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().unwrap() {
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                break;
            }
        }
        lines
    }

    /// Sends a command and gives the reply's lines joined by `\n`.
    pub fn command(&mut self, text: &str) -> String {
        self.send(format!("{text}\r\n").as_bytes()).unwrap();
        self.reply().join("\n")
    }

    /// A message from its EHLO to its 250, on a session that was greeted; `log` says more if something else is answered.
    pub fn sends_a_message(&mut self, log: impl Fn() -> String) {
        for (command, code) in [
            ("EHLO application.test", "250"),
            ("MAIL FROM:<app@away.test>", "250"),
            ("RCPT TO:<bob@home.test>", "250"),
            ("DATA", "354"),
            ("Subject: x\r\n\r\nx\r\n.", "250"),
        ] {
            let answer = self.command(command);
            assert!(answer.starts_with(code), "{command}: {answer}\n{}", log());
        }
    }

    /// TLS from here on, whatever certificate the server shows.
    pub fn start_tls(&mut self) {
        self.start_tls_by("localhost", None);
    }

    /// The same with the certificate of a node, from the folder that `posthouse pki issue` made.
    pub fn start_tls_as(&mut self, node: &Path) {
        self.start_tls_by("localhost", Some(node));
    }

    /// The same for a server of that name; `false`: it wants nobody of that name.
    pub fn start_tls_to(&mut self, name: &str) -> bool {
        self.start_tls_by(name, None);
        let Stream::Tls(stream) = &mut self.stream else { return false };
        stream.conn.complete_io(&mut stream.sock).is_ok()
    }

    fn start_tls_by(&mut self, name: &str, node: Option<&Path>) {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
        let config = match node {
            None => config.with_no_client_auth(),
            Some(node) => {
                let certificate = CertificateDer::from_pem_file(node.join("certificate.pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(node.join("key.pem")).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let Stream::Clear(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            panic!("TLS is on already")
        };
        let session = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_string()).unwrap()).unwrap();
        self.stream = Stream::Tls(Box::new(StreamOwned::new(session, stream)));
    }

    /// TLS from here on as the server, with the certificate that lies beside the dialogs.
    pub fn take_tls(&mut self) {
        let folder = crate::root().join("tests/dialogs/nodes");
        let certificate = CertificateDer::from_pem_file(folder.join("next-hop.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("next-hop.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let Stream::Clear(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            panic!("TLS is on already")
        };
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        self.stream = Stream::TlsTaken(Box::new(StreamOwned::new(session, stream)));
    }

    /// The certificate that the server has shown, DER.
    pub fn peer_certificate(&self) -> Vec<u8> {
        let Stream::Tls(stream) = &self.stream else { panic!("no TLS") };
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub fn close(&mut self) {
        self.stream = Stream::Gone;
    }
}

#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
