//! A real name server (bind) with the zone `example.`, on a loopback port of its own.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::{eventually, free_port};

/// Answers for `example.` until it is dropped.
pub struct Named {
    /// Where it answers, on 127.0.0.1.
    pub port: u16,
    process: Process,
    dir: tempfile::TempDir,
}

impl Named {
    /// Starts it with this zone file, and waits until it answers.
    pub fn start(zone: &str) -> Named {
        let keep = tempfile::tempdir().unwrap();
        let (dir, port) = (keep.path(), free_port());
        Command::new("chmod").arg("777").arg(dir).status().unwrap();
        fs::write(dir.join("zone"), zone).unwrap();
        let conf = format!(
            "options {{ directory \"{0}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             recursion no; dnssec-validation no; session-keyfile \"{0}/session.key\"; }};\ncontrols {{ }};\n\
             zone \"example\" {{ type primary; file \"{0}/zone\"; check-names ignore; }};\n",
            dir.display()
        );
        fs::write(dir.join("named.conf"), conf).unwrap();
        let mut named = Command::new("/usr/sbin/named");
        named.args(["-g", "-n", "1", "-c"]).arg(dir.join("named.conf"));
        let process = Process::start(&mut named, &dir.join("named.log"));
        eventually("the name server answers", Duration::from_secs(20), || answers(port));
        Named { port, process, dir: keep }
    }

    /// Has it answer from another zone file, whose serial must be a later one.
    pub fn change(&self, zone: &str) {
        fs::write(self.dir.path().join("zone"), zone).unwrap();
        self.process.signal("HUP");
    }
}

/// A question about the zone gets an answer.
fn answers(port: u16) -> bool {
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02ns\x07example\x00\x00\x01\x00\x01";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let sent = socket.send_to(question, ("127.0.0.1", port)).is_ok();
    let mut answer = [0; 512];
    sent && socket.recv(&mut answer).is_ok_and(|count| count > 12 && answer[3] & 15 == 0)
}
