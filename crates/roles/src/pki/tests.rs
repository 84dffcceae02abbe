use super::*;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;

fn pki() -> (Pki, world::sim::SimHandle) {
    let (world, handle) = World::simulated(7);
    (Pki::in_world(world, "/pki".into()), handle)
}

fn order(node: &str) -> Order {
    Order { node: node.into(), ..Order::default() }
}

fn file(pki: &Pki, path: &str) -> Vec<u8> {
    pki.world.disk.read_all(Path::new(path)).unwrap()
}

/// rustls' own opinion: the certificate of `node` was signed by `ca`, now.
fn chains(pki: &Pki, node: &str, ca: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&file(pki, ca)).unwrap()).unwrap();
    let der = CertificateDer::from_pem_slice(&file(pki, &format!("/pki/nodes/{node}/certificate.pem"))).unwrap();
    let parsed = ParsedCertificate::try_from(&der).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(pki.world.clock.wall_ms()));
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms).is_ok()
}

#[test]
fn an_authority_is_made_once_and_its_certificates_hold() {
    let (pki, handle) = pki();
    let none = pki.issue(&order("mx1.example.org")).unwrap_err().to_string();
    assert!(none.contains("/pki/ca.pem is not there") && none.contains("pki init"), "{none}");
    pki.init("Example Ltd", None).unwrap();
    let again = pki.init("Example Ltd", None).unwrap_err().to_string();
    assert!(again.contains("/pki/ca-key.pem is there already"), "{again}");

    let asked = Order { addresses: vec!["10.0.0.1".into(), "relay.example.org".into()], ..order("MX1.example.org") };
    let written = pki.issue(&asked).unwrap();
    assert_eq!(written.name, "mx1.example.org");
    assert!(
        chains(&pki, "mx1.example.org", "/pki/ca.pem")
            && chains(&pki, "mx1.example.org", "/pki/nodes/mx1.example.org/ca.pem")
    );
    let identity = Identity::of_pem(&file(&pki, "/pki/nodes/mx1.example.org/certificate.pem")).unwrap();
    assert_eq!(identity.node.as_deref(), Some("mx1.example.org"));
    assert_eq!(identity.addresses, ["10.0.0.1", "relay.example.org"]);
    assert_eq!(identity.organization.as_deref(), Some("Example Ltd"));
    let twice = pki.issue(&asked).unwrap_err().to_string();
    assert!(twice.contains("has a certificate already") && twice.contains("pki renew mx1.example.org"), "{twice}");
    handle.clock.advance_ms(366 * DAY_MS);
    assert!(!chains(&pki, "mx1.example.org", "/pki/ca.pem"), "a year is over");
}

#[test]
fn renewing_keeps_key_and_addresses_and_the_list_says_what_is_due() {
    let (pki, handle) = pki();
    pki.init("Example Ltd", None).unwrap();
    pki.issue(&Order { addresses: vec!["::1".into()], ..order("a.test") }).unwrap();
    pki.issue(&Order { days: Some(800), ..order("b.test") }).unwrap();
    let state = |name: &str| {
        let entry = pki.list(SOON_DAYS).unwrap().into_iter().find(|entry| entry.name == name).unwrap();
        (entry.state, entry.needs_care)
    };
    assert_eq!(state("Example Ltd"), ("good".into(), false));
    assert_eq!(state("a.test"), ("good".into(), false));
    handle.clock.advance_ms(340 * DAY_MS);
    assert_eq!((state("a.test"), state("b.test")), (("renew soon".into(), true), ("good".into(), false)));
    handle.clock.advance_ms(26 * DAY_MS);
    assert_eq!(state("a.test"), ("expired".into(), true));

    let key = file(&pki, "/pki/nodes/a.test/key.pem");
    let serial = || Identity::of_pem(&file(&pki, "/pki/nodes/a.test/certificate.pem")).unwrap().serial;
    let before = serial();
    pki.renew(&order("a.test"), false).unwrap();
    assert_eq!(state("a.test"), ("good".into(), false));
    assert!(serial() != before && file(&pki, "/pki/nodes/a.test/key.pem") == key);
    assert_eq!(pki.list(1).unwrap()[1].addresses, ["::1"]);
    assert!(chains(&pki, "a.test", "/pki/ca.pem"));
    pki.renew(&order("a.test"), true).unwrap();
    assert!(file(&pki, "/pki/nodes/a.test/key.pem") != key && chains(&pki, "a.test", "/pki/ca.pem"));
    assert!(pki.renew(&order("c.test"), false).unwrap_err().to_string().contains("pki issue c.test"));
}

#[test]
fn what_is_not_of_this_authority_is_told() {
    let (pki, _) = pki();
    pki.init("Example Ltd", None).unwrap();
    let other = Pki::in_world(pki.world.clone(), "/other".into());
    other.init("Example Ltd", None).unwrap();
    for (from, node) in [(&other, "a.test"), (&pki, "b.test")] {
        from.issue(&order(node)).unwrap();
    }
    let disk = &pki.world.disk;
    disk.create_dir_all_durable(Path::new("/pki/nodes/a.test")).unwrap();
    disk.create_dir_all_durable(Path::new("/pki/nodes/c.test")).unwrap();
    let copy = |from: &str, to: &str| disk.replace_durable(Path::new(to), &file(&pki, from)).unwrap();
    copy("/other/nodes/a.test/certificate.pem", "/pki/nodes/a.test/certificate.pem");
    copy("/pki/nodes/b.test/certificate.pem", "/pki/nodes/c.test/certificate.pem");
    disk.create_dir_all_durable(Path::new("/pki/nodes/d.test")).unwrap();
    let states: Vec<String> = pki.list(SOON_DAYS).unwrap().into_iter().map(|entry| entry.state).collect();
    assert_eq!(states[..4], ["good", "signed by another authority", "good", "names another node"]);
    assert!(states[4].contains("d.test/certificate.pem"), "{}", states[4]);
    copy("/other/ca-key.pem", "/pki/ca-key.pem");
    let error = pki.issue(&order("e.test")).unwrap_err().to_string();
    assert!(error.contains("/pki/ca.pem: does not fit to ca-key.pem"), "{error}");
}

#[test]
fn names_and_days_are_looked_at_first() {
    let (pki, _) = pki();
    pki.init("Example Ltd", Some(400)).unwrap();
    for (order, says) in [
        (order("../x"), "is no node name"),
        (order(""), "is no node name"),
        (Order { addresses: vec!["10.0.0.1:25".into()], ..order("a.test") }, "'10.0.0.1:25' is no address"),
        (Order { days: Some(0), ..order("a.test") }, "--days takes 1"),
        (Order { days: Some(401), ..order("a.test") }, "the authority itself ends"),
    ] {
        let error = pki.issue(&order).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(pki.init(" ", None).unwrap_err().to_string().contains("--organization"));
    assert_eq!(pki.list(30).unwrap().len(), 1, "what was refused left no folder");
}
