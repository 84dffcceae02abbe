//! Two nodes with certificates of one authority, known to each other.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Node;
use crate::{binary, eventually, free_port};

/// Long enough for anything that two nodes have to agree on.
pub const SOON: Duration = Duration::from_secs(20);

/// Two nodes with certificates of one authority, not started yet.
pub struct Two {
    pub keep: tempfile::TempDir,
    pub a: Node,
    pub b: Node,
}

impl Two {
    /// Not started; with more arguments for both.
    pub fn with(more: &[&str]) -> Two {
        let keep = tempfile::tempdir().unwrap();
        pki(keep.path(), &["init", "--organization", "Example Ltd"]);
        let (port_a, port_b) = (free_port(), free_port());
        let node = |name: &str, port: u16, other: &str, other_port: u16| {
            pki(keep.path(), &["issue", name, "--address", "127.0.0.1"]);
            let dir = keep.path().join(name);
            fs::create_dir(&dir).unwrap();
            let document = format!(
                "name = \"{name}\"\n[peers]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"../pki/nodes/{name}/certificate.pem\"\n\
                 key = \"../pki/nodes/{name}/key.pem\"\nca = \"../pki/nodes/{name}/ca.pem\"\nheartbeat = \"200ms\"\n\
                 [[peer]]\nname = \"{other}\"\naddress = \"127.0.0.1:{other_port}\"\n[limits]\nconnection_rate_per_minute = 0\n"
            );
            fs::write(dir.join("posthouse.toml"), document).unwrap();
            Node::at(&dir, &[&["--config", "posthouse.toml"], more].concat())
        };
        let a = node("a.test", port_a, "b.test", port_b);
        let b = node("b.test", port_b, "a.test", port_a);
        Two { keep, a, b }
    }

    /// Started, and linked.
    pub fn started() -> Two {
        let mut two = Two::with(&[]);
        two.start();
        two
    }

    /// Starts both and waits until they are linked.
    pub fn start(&mut self) {
        self.a.start();
        self.b.start();
        eventually("they are linked", SOON, || {
            peer(&self.a)["connected"] == true && peer(&self.b)["connected"] == true
        });
    }
}

/// Runs `posthouse pki` in a folder.
pub fn pki(dir: &Path, arguments: &[&str]) {
    let out = Command::new(binary("posthouse")).arg("pki").args(arguments).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The other node as this one shows it.
pub fn peer(of: &Node) -> Value {
    of.json(&["status"])["peers"][0].clone()
}
