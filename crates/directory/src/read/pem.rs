//! Certificates and keys that a document names: looked at when it is read, so that a start does not fail halfway.

use super::section::Section;
use crate::node::TlsFiles;
use std::path::PathBuf;
use world::Disk;

/// `certificate` and `key` of a section.
pub fn tls(section: &Section<'_, '_>, disk: &dyn Disk) -> Option<TlsFiles> {
    let certificate = pem_file(section, disk, "certificate", "-----BEGIN CERTIFICATE-----", "certificate");
    let key = pem_file(section, disk, "key", "PRIVATE KEY-----", "private key");
    Some(TlsFiles { certificate: certificate?, key: key? })
}

/// A file that must hold something with this mark in PEM form.
pub fn pem_file(section: &Section<'_, '_>, disk: &dyn Disk, key: &str, mark: &str, what: &str) -> Option<PathBuf> {
    let written = section.text(key)?;
    let pem = section.document().read_file(disk, &written.value, written.at)?;
    let pem = String::from_utf8_lossy(&pem);
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        section.problem(
            key,
            format!("{} has a passphrase, which nobody could type at start; store it without one", written.value),
        );
    } else if !pem.contains(mark) {
        section.problem(key, format!("{} holds no {what} in PEM form", written.value));
    }
    Some(section.document().path(&written.value))
}
