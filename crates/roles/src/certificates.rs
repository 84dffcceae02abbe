//! Owns where the certificate of this node comes from: the files of the configuration, or a self-signed one made at first start.
//! Knows no handshakes. Always holds: a certificate is used only together with the key that fits it; the key we make is readable
//! by our user alone; what cannot be loaded never replaces what is in use.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use world::World;

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used: which file, and what to do.
#[derive(Debug)]
pub struct CertificateError {
    file: PathBuf,
    what: String,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl std::error::Error for CertificateError {}

impl CertificateFiles {
    /// The self-signed pair in `dir`, made now if it is not there.
    pub fn self_signed(world: &World, dir: &Path, hostname: &str) -> Result<CertificateFiles, CertificateError> {
        let files = CertificateFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
        let failed = |file: &Path| {
            let file = file.to_path_buf();
            move |error: io::Error| CertificateError { file, what: error.to_string() }
        };
        // The certificate is written last: where it is, the key is too.
        if !world.disk.exists(&files.certificate).map_err(failed(&files.certificate))? {
            let made = rcgen::generate_simple_self_signed(vec![hostname.to_string(), "localhost".to_string()]);
            let made = made.map_err(|error| CertificateError {
                file: files.certificate.clone(),
                what: format!("cannot be made for the name '{hostname}': {error}"),
            })?;
            world.disk.create_dir_all_durable(dir).map_err(failed(dir))?;
            let key = made.signing_key.serialize_pem();
            world.disk.replace_durable_private(&files.key, key.as_bytes()).map_err(failed(&files.key))?;
            let certificate = made.cert.pem();
            world
                .disk
                .replace_durable(&files.certificate, certificate.as_bytes())
                .map_err(failed(&files.certificate))?;
        }
        Ok(files)
    }

    /// Reads both and makes sure that they fit.
    pub fn load(&self, world: &World) -> Result<Arc<CertifiedKey>, CertificateError> {
        let certificate = read(world, &self.certificate, "[tls] certificate")?;
        let key = read(world, &self.key, "[tls] key")?;
        let bad = |file: &Path, what: String| CertificateError { file: file.to_path_buf(), what };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(&self.certificate, format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, "holds no certificate (no BEGIN CERTIFICATE)".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| bad(&self.key, format!("holds no private key that can be read: {error}")))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                bad(&self.key, format!("does not belong to the certificate in {}", self.certificate.display()))
            }
            other => bad(&self.key, format!("cannot be used: {other}")),
        })?;
        Ok(Arc::new(certified))
    }

    /// When either file was changed last; two different answers mean that it is time to load again.
    pub fn changed_ms(&self, world: &World) -> Option<(u64, u64)> {
        let at = |path: &Path| world.disk.modified_ms(path).ok();
        Some((at(&self.certificate)?, at(&self.key)?))
    }
}

fn read(world: &World, file: &Path, setting: &str) -> Result<Vec<u8>, CertificateError> {
    world.disk.read_all(file).map_err(|error| CertificateError {
        file: file.to_path_buf(),
        what: match error.kind() {
            io::ErrorKind::NotFound => format!("is not there; {setting} names it"),
            io::ErrorKind::PermissionDenied => {
                format!("cannot be read by this user ({error}); change its owner or mode, {setting} names it")
            }
            _ => format!("cannot be read: {error}; {setting} names it"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_loads_and_refuses_a_key_of_another() {
        let (world, _) = World::simulated(1);
        let one = CertificateFiles::self_signed(&world, Path::new("/a"), "mx.posthouse.test").unwrap();
        let first = one.load(&world).unwrap();
        let again = CertificateFiles::self_signed(&world, Path::new("/a"), "other.test").unwrap();
        assert_eq!(first.cert, again.load(&world).unwrap().cert, "made once, kept");

        let two = CertificateFiles::self_signed(&world, Path::new("/b"), "mx.posthouse.test").unwrap();
        let mixed = CertificateFiles { certificate: one.certificate.clone(), key: two.key };
        let error = mixed.load(&world).unwrap_err().to_string();
        assert_eq!(error, "/b/key.pem: does not belong to the certificate in /a/certificate.pem");

        let missing = CertificateFiles { key: "/c/key.pem".into(), ..one.clone() };
        assert_eq!(missing.load(&world).unwrap_err().to_string(), "/c/key.pem: is not there; [tls] key names it");
        world.disk.replace_durable(&one.certificate, b"not a certificate").unwrap();
        assert!(one.load(&world).unwrap_err().to_string().contains("holds no certificate"));
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // the mode of a real file
    fn the_key_is_for_our_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("roles-certificates-{}", std::process::id()));
        let files = CertificateFiles::self_signed(&World::real(), &dir, "mx.posthouse.test").unwrap();
        let mode = std::fs::metadata(&files.key).unwrap().permissions().mode();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }
}
