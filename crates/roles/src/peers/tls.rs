//! Owns the certificates of peer links: this node's own pair, the authority that we believe, and rustls' settings made of them.
//! Knows no sockets. Always holds: TLS 1.3 only, a certificate at both ends, no session resumed; files that are not sound never
//! replace those that are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use transport::swap::Swap;
use world::World;

use crate::certificates::{CertificateError, Watched};
use crate::pki::Identity;

/// The certificates that new links use.
pub struct LinkTls {
    world: World,
    node: String,
    files: directory::Peers,
    watched: Watched<3>,
    current: Swap<Material>,
}

/// One version of them.
pub struct Material {
    /// What our own certificate says.
    pub own: Identity,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    clock: Arc<WorldTime>,
}

/// The certificate that the other end has shown, whether it was believed or not.
#[derive(Debug, Default)]
pub struct Shown(Mutex<Option<Identity>>);

impl Shown {
    /// What it says.
    pub fn identity(&self) -> Option<Identity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see(&self, certificate: &CertificateDer<'_>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Identity::of_der(certificate).ok();
    }
}

impl LinkTls {
    /// Reads the files that `[peers]` names, and makes sure that they belong together and to the node `node`.
    pub fn load(world: &World, files: &directory::Peers, node: &str) -> Result<LinkTls, CertificateError> {
        let names: [(PathBuf, &'static str); 3] = [
            (files.own.certificate.clone(), "[peers] certificate"),
            (files.own.key.clone(), "[peers] key"),
            (files.ca.clone(), "[peers] ca"),
        ];
        let (watched, contents) = Watched::open(world, names)?;
        let node = node.to_ascii_lowercase();
        let current = Swap::new(Arc::new(Material::read(world, files, &node, &contents)?));
        Ok(LinkTls { world: world.clone(), node, files: files.clone(), watched, current })
    }

    /// Uses what the files hold now if that changed; says whether it did.
    pub fn renew(&self) -> Result<bool, CertificateError> {
        let Some(contents) = self.watched.look(&self.world)? else { return Ok(false) };
        self.current.store(Arc::new(Material::read(&self.world, &self.files, &self.node, &contents)?));
        Ok(true)
    }

    /// What new links use.
    pub fn current(&self) -> Arc<Material> {
        self.current.load()
    }

    /// The file of our own certificate.
    pub fn certificate_file(&self) -> &Path {
        &self.files.own.certificate
    }

    /// The file of the authority that we believe.
    pub fn ca_file(&self) -> &Path {
        &self.files.ca
    }
}

impl Material {
    fn read(
        world: &World,
        files: &directory::Peers,
        node: &str,
        [chain, key, ca]: &[Vec<u8>; 3],
    ) -> Result<Material, CertificateError> {
        let (chain_file, key_file) = (&files.own.certificate, &files.own.key);
        let wrong = |file: &Path, what: String| CertificateError::new(file, what);
        let chain = certificates(chain).map_err(|what| wrong(chain_file, what))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| wrong(key_file, format!("no usable private key in PEM form: {error}")))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(ca).map_err(|what| wrong(&files.ca, what))? {
            roots.add(root).map_err(|error| wrong(&files.ca, format!("no usable authority: {error}")))?;
        }
        let own = Identity::of_der(&chain[0]).map_err(|what| wrong(chain_file, what))?;
        match own.node.as_deref() {
            Some(name) if name == node => {}
            Some(other) => {
                let what =
                    format!("is the certificate of node {other}, and this node is {node}; copy the folder of {node}");
                return Err(wrong(chain_file, what));
            }
            None => {
                let what =
                    format!("names no node of an organization; `posthouse pki issue {node}` makes one that does");
                return Err(wrong(chain_file, what));
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (roots, clock) = (Arc::new(roots), Arc::new(WorldTime(world.clone())));
        let material = Material { own, chain, key, roots, provider, clock };
        // Whether it is valid now is said when a link is made; here, whether it was ever meant by this authority.
        let then = UnixTime::since_unix_epoch(Duration::from_millis(material.own.not_before_ms + 1000));
        material.verify(&material.chain[0], &material.chain[1..], then).map_err(|_| {
            wrong(
                chain_file,
                format!("was not signed by the authority in {}; copy the ca.pem that came with it", files.ca.display()),
            )
        })?;
        let config = material.server(&Arc::default());
        config.map_err(|error| wrong(key_file, format!("does not fit to {}: {error}", chain_file.display())))?;
        Ok(material)
    }

    /// For the end that dials; `shown` learns whose certificate the other end has.
    pub fn client(&self, shown: &Arc<Shown>) -> Result<ClientConfig, Error> {
        let verifier = Verifier {
            roots: self.roots.clone(),
            algorithms: self.provider.signature_verification_algorithms,
            shown: shown.clone(),
        };
        let mut config = ClientConfig::builder_with_details(self.provider.clone(), self.clock.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.enable_sni = false;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// For the end that is called.
    pub fn server(&self, shown: &Arc<Shown>) -> Result<ServerConfig, Error> {
        let inner = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build();
        let inner = inner.map_err(|error| Error::General(error.to_string()))?;
        let mut config = ServerConfig::builder_with_details(self.provider.clone(), self.clock.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(Seeing { inner, shown: shown.clone() }))
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(certificate)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| format!("no usable certificate in PEM form: {error}"))?;
    if all.is_empty() { Err("holds no certificate in PEM form".into()) } else { Ok(all) }
}

/// rustls asks our clock, and no other one.
struct WorldTime(World);

impl std::fmt::Debug for WorldTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorldTime")
    }
}

impl TimeProvider for WorldTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.clock.wall_ms())))
    }
}

/// Checks the chain of the end that was called. Its name is looked at after the handshake, when both ends can be told about it in words.
#[derive(Debug)]
struct Verifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    shown: Arc<Shown>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.shown.see(end_entity);
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let all = self.algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("links are TLS 1.3".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// rustls' own check of the end that dialed, with a look at what it showed.
#[derive(Debug)]
struct Seeing {
    inner: Arc<dyn ClientCertVerifier>,
    shown: Arc<Shown>,
}

impl ClientCertVerifier for Seeing {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.shown.see(end_entity);
        self.inner.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
