//! `posthouse pki` as an operator and cron meet it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of a real process and its files

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tests::binary;

/// Exit code, standard output, standard error.
fn pki(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(binary("posthouse")).arg("pki").args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

#[test]
fn an_authority_from_the_first_day_to_cron() {
    let keep = tempfile::tempdir().unwrap();
    let dir = keep.path();
    let (code, _, err) = pki(dir, &["issue", "a.test"]);
    assert!(code == Some(1) && err.contains("posthouse pki init --organization NAME"), "{err}");
    assert_eq!(pki(dir, &["init"]).0, Some(2), "an organization has a name");
    let (code, out, err) = pki(dir, &["init", "--organization", "Example Ltd"]);
    assert!(
        code == Some(0) && out.contains("pki/ca-key.pem") && out.contains("posthouse pki issue NODE"),
        "{out}{err}"
    );
    let (code, out, err) = pki(dir, &["issue", "a.test", "--address", "10.0.0.1", "--address", "a.internal"]);
    assert!(code == Some(0) && out.contains("pki/nodes/a.test/certificate.pem"), "{out}{err}");
    for key in ["pki/ca-key.pem", "pki/nodes/a.test/key.pem"] {
        assert_eq!(std::fs::metadata(dir.join(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
    let key = std::fs::read(dir.join("pki/ca-key.pem")).unwrap();
    assert_eq!(pki(dir, &["init", "--organization", "Another"]).0, Some(1));
    assert_eq!(std::fs::read(dir.join("pki/ca-key.pem")).unwrap(), key, "never overwritten");

    let (code, out, err) = pki(dir, &["list"]);
    assert!(code == Some(0) && out.contains("10.0.0.1 a.internal") && err.is_empty(), "{out}{err}");
    assert_eq!(pki(dir, &["issue", "b.test", "--days", "10"]).0, Some(0));
    let (code, _, err) = pki(dir, &["list"]);
    assert!(code == Some(1) && err == "posthouse: b.test: renew soon; posthouse pki renew b.test\n", "{err}");
    let (_, out, _) = pki(dir, &["list", "--json", "--soon", "5"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&listed["certificates"][2]["name"], &listed["certificates"][2]["state"]),
        (&"b.test".into(), &"good".into())
    );
    assert_eq!(pki(dir, &["renew", "b.test"]).0, Some(0));
    assert_eq!(pki(dir, &["list"]).0, Some(0));
}
