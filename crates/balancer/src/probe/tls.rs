//! TLS of probes. It encrypts and proves nothing: what a certificate is worth is for clients to say; a probe notes whose it is and when it
//! ends.

use super::certificate::Certificate;
use super::target::Target;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What handshakes are made with. Cheap to clone.
#[derive(Clone)]
pub struct ProbeTls(Arc<ClientConfig>);

/// Encrypts, and takes every certificate. An error is a fault of this program's build.
pub(crate) fn encrypting() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let any = Arc::new(AnyCertificate { provider: provider.clone() });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(any)
        .with_no_client_auth())
}

impl ProbeTls {
    /// Makes the configuration. An error is a fault of this program's build.
    pub fn new() -> Result<ProbeTls, rustls::Error> {
        let mut config = encrypting()?;
        // A resumed session shows no certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(ProbeTls(Arc::new(config)))
    }

    /// Does the handshake, and reads the certificate.
    pub async fn start(
        &self,
        stream: TcpStream,
        target: &Target,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Certificate>)> {
        let name = match &target.server_name {
            Some(name) => ServerName::try_from(name.to_string()).map_err(io::Error::other)?,
            None => ServerName::from(target.address.ip()),
        };
        let stream = TlsConnector::from(self.0.clone()).connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.and_then(Certificate::read);
        Ok((stream, certificate))
    }
}

/// Takes every certificate. The handshake's signature is still checked: the peer holds the key of what it showed.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
