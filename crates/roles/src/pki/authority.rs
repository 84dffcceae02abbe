//! The authority's key and certificate, and what it signs. Knows no files.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use world::World;

use super::error::PkiError;
use super::identity::{Identity, NODE_URI};

/// One organization's authority, able to sign.
pub struct Authority {
    pem: String,
    identity: Identity,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, valid for `days` from a little before `now_ms` on.
    pub fn make(world: &World, organization: &str, now_ms: u64, days: u32) -> Result<Authority, PkiError> {
        let mut params = CertificateParams::default();
        validity(&mut params, now_ms, days)?;
        params.serial_number = Some(serial(world));
        params.distinguished_name = subject(organization, &format!("{organization} Posthouse CA"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Authority::open(pem.as_bytes(), key)
            .map_err(|what| PkiError::new(what, "this is an error of Posthouse: report it"))
    }

    /// The one whose certificate is in `pem`; the error says what is wrong with it.
    pub fn open(pem: &[u8], key: KeyPair) -> Result<Authority, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|error| format!("holds no certificate: {error}"))?;
        let identity = Identity::of_der(&der)?;
        let holds = |holder: &[u8], part: &[u8]| holder.windows(part.len()).any(|window| window == part);
        if !holds(&der, key.der_bytes()) {
            return Err("does not fit to ca-key.pem beside it".into());
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| error.to_string())?;
        Ok(Authority { pem: String::from_utf8_lossy(pem).into_owned(), identity, issuer })
    }

    /// Signs a node's certificate for a key; gives its PEM and when it ends.
    pub fn sign(
        &self,
        world: &World,
        node: &str,
        addresses: &[String],
        now_ms: u64,
        days: u32,
        key: &impl PublicKeyData,
    ) -> Result<(String, u64), PkiError> {
        let mut params = CertificateParams::default();
        validity(&mut params, now_ms, days)?;
        if self.identity.not_after_ms < now_ms + u64::from(days) * DAY_MS {
            let until = mail::date::rfc3339(self.identity.not_after_ms);
            return Err(PkiError::new(
                format!("the authority itself ends at {until}, before this certificate would"),
                "ask for fewer days with --days, or make a new authority (docs/operating/certificates-of-nodes.md)",
            ));
        }
        params.serial_number = Some(serial(world));
        params.distinguished_name = subject(self.organization(), node);
        params.subject_alt_names = names(node, addresses)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(key, &self.issuer).map_err(failed)?;
        Ok((signed.pem(), now_ms + u64::from(days) * DAY_MS))
    }

    /// This authority is the one that the certificate names as its issuer. (Whether the signature holds is found out by TLS.)
    pub fn signed(&self, of: &Identity) -> bool {
        of.authority_key.is_some() && of.authority_key == self.identity.subject_key
    }

    /// Its organization.
    pub fn organization(&self) -> &str {
        self.identity.organization.as_deref().unwrap_or("the organization")
    }

    /// What its certificate says.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its certificate.
    pub fn certificate_pem(&self) -> String {
        self.pem.clone()
    }

    /// Its key.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

/// From a little before now: the clocks of two nodes are never quite the same.
fn validity(params: &mut CertificateParams, now_ms: u64, days: u32) -> Result<(), PkiError> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(PkiError::new(format!("{days} days cannot be"), &format!("--days takes 1 to {DAYS_MAX}")));
    }
    let at = |ms: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(ms / 1000);
    params.not_before = at(now_ms.saturating_sub(BACKDATED_MS));
    params.not_after = at(now_ms + u64::from(days) * DAY_MS);
    Ok(())
}

fn subject(organization: &str, common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common);
    name
}

/// The node's name as URI (what Posthouse looks at) and as DNS name (for other programs), then the addresses.
fn names(node: &str, addresses: &[String]) -> Result<Vec<SanType>, PkiError> {
    let wrong = |text: &str| {
        PkiError::new(format!("'{text}' is no address"), "write an IP address or a host name without a port")
    };
    let dns = |text: &str| {
        let text = text.to_ascii_lowercase();
        let is_name = mail::address::is_domain(&text) && text.is_ascii();
        text.clone().try_into().ok().filter(|_| is_name).map(SanType::DnsName).ok_or_else(|| wrong(&text))
    };
    let uri = format!("{NODE_URI}{node}").try_into().map_err(|_| wrong(node))?;
    let mut names = vec![SanType::URI(uri), dns(node)?];
    for address in addresses {
        let name = address.parse::<IpAddr>().map(SanType::IpAddress).or_else(|_| dns(address))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// 127 random bits; a positive number whose first byte is never 0.
fn serial(world: &World) -> SerialNumber {
    let mut bytes = [0; 16];
    world.chance.fill(&mut bytes);
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// Something that only an error in the program or in its libraries can make fail.
pub fn failed(error: rcgen::Error) -> PkiError {
    PkiError::new(format!("the certificate cannot be made: {error}"), "check names and addresses")
}

const DAY_MS: u64 = 86_400_000;
const DAYS_MAX: u32 = 36_525;
const BACKDATED_MS: u64 = 3_600_000;
