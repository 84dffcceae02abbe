//! TLS towards clients: the certificate that is in force, and what is written about a session's TLS.
//!
//! Owns the rustls server configuration. Knows no files: whoever watches them hands in their bytes.
//! Always holds: a pair that does not fit together never replaces one that does; a session keeps the certificate it started with.

use crate::swap::Swap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The certificate chain and key that new sessions get. Every name (SNI) gets the same one.
#[derive(Debug)]
pub struct Certificates {
    config: Swap<ServerConfig>,
}

/// Why a certificate and a key cannot be used; said to the operator beside the name of the file.
#[derive(Debug)]
pub enum CertificateError {
    /// The certificate file holds no PEM certificate, or a broken one.
    Chain(String),
    /// The key file holds no PEM private key, or a broken one.
    Key(String),
    /// They do not belong together, or the kind of key is not supported.
    Pair(String),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::Chain(why) => write!(f, "no usable certificate in PEM form: {why}"),
            CertificateError::Key(why) => write!(f, "no usable private key in PEM form: {why}"),
            CertificateError::Pair(why) => write!(f, "certificate and private key cannot be used together: {why}"),
        }
    }
}

impl std::error::Error for CertificateError {}

impl Certificates {
    /// Takes a certificate chain (own certificate first) and its private key, both in PEM form.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificates, CertificateError> {
        Ok(Certificates { config: Swap::new(server_config(chain, key)?) })
    }

    /// Makes a renewed pair take effect for new sessions. On an error the old pair stays in force.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        self.config.store(server_config(chain, key)?);
        Ok(())
    }

    /// What a session that is not ours to drive needs for TLS. It stays as it is when the pair is renewed.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.load()
    }

    /// What a session needs to start TLS.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load())
    }
}

fn server_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::Chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(CertificateError::Chain("the file holds none".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| CertificateError::Key(error.to_string()))?;
    let pair = |error: rustls::Error| CertificateError::Pair(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(pair)?;
    // Stateless tickets: a client that comes back saves the signature, and we keep nothing for those that do not.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(pair)?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Version and cipher as they stand in the Received field and in the trace: `TLSv1.3 TLS_AES_128_GCM_SHA256`.
pub fn describe(connection: &ServerConnection) -> String {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLS",
    };
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    format!("{version} {}", suite.replacen("TLS13_", "TLS_", 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    struct Pair {
        chain: String,
        key: String,
        der: CertificateDer<'static>,
    }

    fn pair() -> Pair {
        let made = rcgen::generate_simple_self_signed(["mx.example.net".to_string()]).unwrap();
        Pair { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }

    /// What the session's TLS is called, if a client that trusts `pair` and nobody else gets through.
    async fn session(certificates: &Certificates, pair: &Pair) -> Option<String> {
        let mut roots = RootCertStore::empty();
        roots.add(pair.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let connector = TlsConnector::from(Arc::new(config));
        let client = tokio::spawn(connector.connect("mx.example.net".try_into().unwrap(), theirs));
        let server = certificates.acceptor().accept(ours).await.ok()?;
        let _client = client.await.unwrap().ok()?;
        Some(describe(server.get_ref().1))
    }

    #[tokio::test]
    async fn a_renewed_pair_is_for_new_sessions_and_a_broken_one_for_none() {
        let (old, new) = (pair(), pair());
        let certificates = Certificates::from_pem(old.chain.as_bytes(), old.key.as_bytes()).unwrap();
        assert!(session(&certificates, &old).await.unwrap().starts_with("TLSv1.3 TLS_"));
        let broken = certificates.replace(new.chain.as_bytes(), old.key.as_bytes());
        assert!(matches!(broken, Err(CertificateError::Pair(_))), "{broken:?}");
        assert!(session(&certificates, &old).await.is_some());
        certificates.replace(new.chain.as_bytes(), new.key.as_bytes()).unwrap();
        assert!(session(&certificates, &new).await.is_some());
        assert!(session(&certificates, &old).await.is_none());
    }

    #[test]
    fn each_file_is_told_apart() {
        let good = pair();
        let load = |chain: &str, key: &str| Certificates::from_pem(chain.as_bytes(), key.as_bytes()).err();
        assert!(matches!(load("", &good.key), Some(CertificateError::Chain(_))));
        assert!(matches!(load(&good.key, &good.key), Some(CertificateError::Chain(_))));
        assert!(matches!(load(&good.chain, ""), Some(CertificateError::Key(_))));
        assert!(matches!(load(&good.chain, &good.chain), Some(CertificateError::Key(_))));
    }
}
