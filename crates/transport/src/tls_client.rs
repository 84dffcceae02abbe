//! TLS towards next hops: what each level of a send connector demands.
//!
//! Owns the client configurations. Knows no SMTP. Always holds: "verify" never accepts a certificate that is not valid for the host's
//! name; the other levels encrypt and ask for no name, because a next hop found through unsigned MX records has none to prove.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Client configurations, made once.
pub struct TlsClient {
    encrypt_only: Arc<ClientConfig>,
    public_roots: Arc<ClientConfig>,
    provider: Arc<CryptoProvider>,
}

/// What the certificate must prove.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Nothing: encryption is better than none.
    Nothing,
    /// The host's name, by an authority that is publicly trusted, or one of these (PEM).
    Name(Option<&'a [u8]>),
}

impl TlsClient {
    /// Makes the configurations. An error is a fault of this program's build.
    pub fn new() -> Result<TlsClient, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let any = Arc::new(AnyCertificate { provider: Arc::clone(&provider) });
        let encrypt_only = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_no_client_auth();
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let public_roots = verifying(&provider, roots).map_err(rustls::Error::General)?;
        Ok(TlsClient { encrypt_only: Arc::new(encrypt_only), public_roots: Arc::new(public_roots), provider })
    }

    /// Does the handshake. `host` is the name (or address) that the connection was made for.
    pub async fn start(&self, stream: TcpStream, host: &str, proof: Proof<'_>) -> io::Result<TlsStream<TcpStream>> {
        let config = match proof {
            Proof::Nothing => Arc::clone(&self.encrypt_only),
            Proof::Name(None) => Arc::clone(&self.public_roots),
            Proof::Name(Some(pem)) => Arc::new(self.trusting(pem).map_err(io::Error::other)?),
        };
        let name = match host.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address),
            Err(_) => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        TlsConnector::from(config).connect(name, stream).await
    }

    fn trusting(&self, pem: &[u8]) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        verifying(&self.provider, roots)
    }
}

fn verifying(provider: &Arc<CryptoProvider>, roots: RootCertStore) -> Result<ClientConfig, String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())?;
    Ok(ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_webpki_verifier(verifier)
        .with_no_client_auth())
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
