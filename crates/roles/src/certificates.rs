//! Owns where certificates of this node come from: the files of the configuration, or a self-signed pair made at first start; and the
//! looking at them again, for the pair that clients meet and for the one of peer links.
//! Knows no handshakes. Always holds: a certificate is used only together with the key that fits it; the key we make is readable
//! by our user alone; what cannot be loaded never replaces what is in use.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use transport::tls::{self, Certificates};
use world::World;

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Files that are looked at again and again. Looks at the content: a time of change may stand still.
pub struct Watched<const N: usize> {
    /// Each with the setting that names it.
    files: [(PathBuf, &'static str); N],
    /// What they held when they were looked at last.
    seen: Mutex<[Vec<u8>; N]>,
}

/// The pair that is served, and where it comes from.
pub struct ServedCertificate {
    files: CertificateFiles,
    watched: Watched<2>,
    served: Arc<Certificates>,
}

/// Why a certificate cannot be used: which file, and what to do.
#[derive(Debug)]
pub struct CertificateError {
    file: PathBuf,
    what: String,
}

impl CertificateError {
    /// A file and what is wrong with it.
    pub fn new(file: &Path, what: impl Into<String>) -> CertificateError {
        CertificateError { file: file.to_path_buf(), what: what.into() }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl std::error::Error for CertificateError {}

impl<const N: usize> Watched<N> {
    /// Reads them for the first time.
    pub fn open(
        world: &World,
        files: [(PathBuf, &'static str); N],
    ) -> Result<(Watched<N>, [Vec<u8>; N]), CertificateError> {
        let contents = Watched::read(world, &files)?;
        Ok((Watched { files, seen: Mutex::new(contents.clone()) }, contents))
    }

    /// What they hold now, if that changed since they were looked at last. Each change is told of once, sound or not: half of a new
    /// pair is told of once, and the other half is seen again.
    pub fn look(&self, world: &World) -> Result<Option<[Vec<u8>; N]>, CertificateError> {
        let contents = Watched::read(world, &self.files)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == contents {
            return Ok(None);
        }
        seen.clone_from(&contents);
        Ok(Some(contents))
    }

    fn read(world: &World, files: &[(PathBuf, &'static str); N]) -> Result<[Vec<u8>; N], CertificateError> {
        let mut contents = std::array::from_fn(|_| Vec::new());
        for (content, (file, setting)) in contents.iter_mut().zip(files) {
            *content = read(world, file, setting)?;
        }
        Ok(contents)
    }
}

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

    fn settings(&self) -> [(PathBuf, &'static str); 2] {
        [(self.certificate.clone(), "[tls] certificate"), (self.key.clone(), "[tls] key")]
    }

    /// The refusal of the pair, told of the file that it is about.
    fn refused(&self, error: &tls::CertificateError) -> CertificateError {
        let file = match error {
            tls::CertificateError::Chain(_) => &self.certificate,
            tls::CertificateError::Key(_) | tls::CertificateError::Pair(_) => &self.key,
        };
        CertificateError { file: file.clone(), what: error.to_string() }
    }
}

impl ServedCertificate {
    /// Those that the configuration names.
    pub fn given(world: &World, files: &directory::TlsFiles) -> Result<ServedCertificate, CertificateError> {
        let files = CertificateFiles { certificate: files.certificate.clone(), key: files.key.clone() };
        ServedCertificate::load(world, files)
    }

    /// Reads the pair and makes sure that it fits.
    pub fn load(world: &World, files: CertificateFiles) -> Result<ServedCertificate, CertificateError> {
        let (watched, [chain, key]) = Watched::open(world, files.settings())?;
        let served = Certificates::from_pem(&chain, &key).map_err(|error| files.refused(&error))?;
        Ok(ServedCertificate { files, watched, served: Arc::new(served) })
    }

    /// What TLS sessions are started with.
    pub fn served(&self) -> Arc<Certificates> {
        self.served.clone()
    }

    /// Serves what the files hold now if that changed; says whether it did.
    pub fn renew(&self, world: &World) -> Result<bool, CertificateError> {
        let Some([chain, key]) = self.watched.look(world)? else { return Ok(false) };
        self.served.replace(&chain, &key).map_err(|error| self.files.refused(&error))?;
        Ok(true)
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
    fn made_once_renewed_when_changed_and_never_with_the_key_of_another() {
        let (world, _) = World::simulated(1);
        let one = CertificateFiles::self_signed(&world, Path::new("/a"), "mx.posthouse.test").unwrap();
        let made = world.disk.read_all(&one.certificate).unwrap();
        assert_eq!(CertificateFiles::self_signed(&world, Path::new("/a"), "other.test").unwrap(), one);
        assert_eq!(world.disk.read_all(&one.certificate).unwrap(), made, "made once, kept");

        let served = ServedCertificate::load(&world, one.clone()).unwrap();
        assert!(!served.renew(&world).unwrap());
        let two = CertificateFiles::self_signed(&world, Path::new("/b"), "mx.posthouse.test").unwrap();
        let [chain, key] = [&two.certificate, &two.key].map(|file| world.disk.read_all(file).unwrap());
        world.disk.replace_durable(&one.certificate, &chain).unwrap();
        let error = served.renew(&world).unwrap_err().to_string();
        assert!(error.starts_with("/a/key.pem: certificate and private key cannot be used together"), "{error}");
        world.disk.replace_durable_private(&one.key, &key).unwrap();
        assert!(served.renew(&world).unwrap());
        assert!(!served.renew(&world).unwrap());
    }

    #[test]
    fn what_cannot_be_read_names_the_file_and_the_setting() {
        let (world, _) = World::simulated(1);
        let files = CertificateFiles { certificate: "/c/chain.pem".into(), key: "/c/key.pem".into() };
        let error = ServedCertificate::load(&world, files.clone()).map(drop).unwrap_err().to_string();
        assert_eq!(error, "/c/chain.pem: is not there; [tls] certificate names it");
        world.disk.create_dir_all_durable(Path::new("/c")).unwrap();
        world.disk.replace_durable(&files.certificate, b"not a certificate").unwrap();
        world.disk.replace_durable(&files.key, b"not a key").unwrap();
        let error = ServedCertificate::load(&world, files).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("/c/chain.pem: no usable certificate"), "{error}");
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
