//! A real Dovecot with IMAP and POP3 in clear and under TLS, on loopback ports of its own, ended by its id. Every password is "pencil".

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::{eventually, free_port};

/// Serves until it is dropped.
pub struct Dovecot {
    pub imap: u16,
    pub imaps: u16,
    pub pop3: u16,
    pub pop3s: u16,
    process: Process,
    dir: tempfile::TempDir,
}

impl Dovecot {
    /// Starts it with a certificate for `name`. `settings` are lines of its configuration.
    pub fn start(name: &str, settings: &str) -> Dovecot {
        let dir = tempfile::Builder::new().prefix("posthouse-dovecot").tempdir_in("/var/tmp").unwrap();
        Command::new("chmod").arg("755").arg(dir.path()).status().unwrap();
        // Dovecot opens nobody's mail box as root: the boxes are nobody's.
        fs::create_dir(dir.path().join("mail")).unwrap();
        Command::new("chmod").arg("777").arg(dir.path().join("mail")).status().unwrap();
        let pair = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        fs::write(dir.path().join("cert.pem"), pair.cert.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        let (imap, imaps, pop3, pop3s) = (free_port(), free_port(), free_port(), free_port());
        let ports = [("imap", imap, false), ("imaps", imaps, true), ("pop3", pop3, false), ("pop3s", pop3s, true)];
        fs::write(dir.path().join("dovecot.conf"), configuration(dir.path(), "imap pop3", &ports, settings)).unwrap();
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-F").arg("-c").arg(dir.path().join("dovecot.conf"));
        let process = Process::start(&mut command, &dir.path().join("out"));
        let dovecot = Dovecot { imap, imaps, pop3, pop3s, process, dir };
        // Nothing is said to it: its log has the sessions of the test and no others.
        let is_taken = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_err();
        eventually("Dovecot listens", Duration::from_secs(30), || [imap, imaps, pop3, pop3s].iter().all(is_taken));
        dovecot
    }

    /// Serves IMAP alone from now on: POP3 is dead on a host that lives.
    pub fn stop_pop3(&self) {
        let file = self.dir.path().join("dovecot.conf");
        let now = fs::read_to_string(&file).unwrap().replace("protocols = imap pop3", "protocols = imap");
        fs::write(&file, now).unwrap();
        self.process.signal("HUP");
        let pop3 = self.pop3;
        eventually("POP3 ends", Duration::from_secs(30), || TcpStream::connect(("127.0.0.1", pop3)).is_err());
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

fn configuration(dir: &Path, protocols: &str, ports: &[(&str, u16, bool); 4], settings: &str) -> String {
    let listener = |(name, port, tls): &(&str, u16, bool)| {
        let tls = if *tls { "    ssl = yes\n" } else { "" };
        format!("  inet_listener {name} {{\n    port = {port}\n{tls}  }}\n")
    };
    let login = |protocol: &str, ports: &[(&str, u16, bool)]| {
        let listeners: String = ports.iter().map(listener).collect();
        format!("service {protocol}-login {{\n  chroot =\n{listeners}}}\n")
    };
    let at = dir.display();
    format!(
        "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nprotocols = {protocols}\nlisten = 127.0.0.1\n\
         ssl = yes\nssl_cert = <{at}/cert.pem\nssl_key = <{at}/key.pem\ndisable_plaintext_auth = no\n\
         mail_location = maildir:{at}/mail/%u\nfirst_valid_uid = 0\nhaproxy_trusted_networks = 127.0.0.0/8\n\
         {}{}passdb {{\n  driver = static\n  args = password=pencil\n}}\n\
         userdb {{\n  driver = static\n  args = uid=65534 gid=65534 home={at}/mail/%u\n}}\n{settings}\n",
        login("imap", &ports[..2]),
        login("pop3", &ports[2..]),
    )
}
