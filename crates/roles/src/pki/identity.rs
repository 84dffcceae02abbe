//! What a certificate says of its bearer. Knows no trust: whoever reads an identity has checked the chain, or does not rely on it.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node whose certificate it is; `None` for a certificate that names no node of an organization.
    pub node: Option<String>,
    /// The organization of its subject.
    pub organization: Option<String>,
    /// Names and addresses that it is for, without the node's name.
    pub addresses: Vec<String>,
    /// When it begins to count, Unix milliseconds.
    pub not_before_ms: u64,
    /// When it ends, Unix milliseconds.
    pub not_after_ms: u64,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// The issuer's key, as the certificate names it.
    pub(super) authority_key: Option<Vec<u8>>,
    /// Its own key, as those that it issues name it.
    pub(super) subject_key: Option<Vec<u8>>,
}

impl Identity {
    /// Of the first certificate of a PEM file; the error says what is wrong with the file.
    pub fn of_pem(pem: &[u8]) -> Result<Identity, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|error| format!("holds no certificate: {error}"))?;
        Identity::of_der(&der)
    }

    /// Of a certificate as TLS carries it; the error says what is wrong with it.
    pub fn of_der(der: &[u8]) -> Result<Identity, String> {
        let (_, read) = X509Certificate::from_der(der).map_err(|error| format!("is no certificate: {error}"))?;
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        let organization = read.subject().iter_organization().next().and_then(|name| name.as_str().ok());
        let mut identity = Identity {
            node: None,
            organization: organization.map(String::from),
            addresses: Vec::new(),
            not_before_ms: ms(read.validity().not_before.timestamp()),
            not_after_ms: ms(read.validity().not_after.timestamp()),
            serial: read.raw_serial().iter().skip_while(|byte| **byte == 0).map(|byte| format!("{byte:02x}")).collect(),
            authority_key: None,
            subject_key: None,
        };
        for extension in read.extensions() {
            use x509_parser::extensions::ParsedExtension as Is;
            match extension.parsed_extension() {
                Is::SubjectAlternativeName(names) => names.general_names.iter().for_each(|name| identity.named(name)),
                Is::AuthorityKeyIdentifier(key) => {
                    identity.authority_key = key.key_identifier.as_ref().map(|k| k.0.into())
                }
                Is::SubjectKeyIdentifier(key) => identity.subject_key = Some(key.0.into()),
                _ => {}
            }
        }
        let node = identity.node.clone();
        identity.addresses.retain(|address| node.as_ref() != Some(address));
        Ok(identity)
    }

    fn named(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::URI(uri) => {
                self.node = uri.strip_prefix(NODE_URI).map(str::to_ascii_lowercase).or(self.node.take())
            }
            GeneralName::DNSName(dns) => self.addresses.push(dns.to_string()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
                let v6 = <[u8; 16]>::try_from(*bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
                self.addresses.extend(v4.or(v6));
            }
            _ => {}
        }
    }
}

/// What stands before a node's name in the URI that makes a certificate one of a node.
pub(super) const NODE_URI: &str = "posthouse:node:";
