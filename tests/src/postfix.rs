//! A private Postfix: its own configuration, queue and ports; ended with its value.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::ldap::run;
use crate::process::{greets, greets_behind_proxy};
use crate::{eventually, free_port};

/// Runs until it is dropped.
pub struct Postfix {
    pub dir: tempfile::TempDir,
    /// Where it takes mail, on 127.0.0.1.
    pub port: u16,
}

impl Postfix {
    /// `settings` are lines of main.cf.
    pub fn start(settings: &str) -> Postfix {
        Postfix::with(settings, "smtpd")
    }

    /// The same with postscreen in front of smtpd.
    pub fn behind_postscreen(settings: &str) -> Postfix {
        Postfix::with(settings, "postscreen")
    }

    fn with(settings: &str, front: &str) -> Postfix {
        // Postfix refuses directories that others can write; /tmp's own is fine for its parent.
        let dir = tempfile::Builder::new().prefix("posthouse-postfix").tempdir_in("/var/tmp").unwrap();
        let port = free_port();
        let at = dir.path().display().to_string();
        run(Command::new("chmod").args(["755", &at]));
        for part in ["etc", "queue", "data"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        run(Command::new("chown").args(["postfix", &format!("{at}/data")]));
        fs::write(
            dir.path().join("etc/main.cf"),
            format!(
                "compatibility_level = 3.6\nqueue_directory = {at}/queue\ndata_directory = {at}/data\n\
                 mail_owner = postfix\nsetgid_group = postdrop\nmynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\n\
                 inet_protocols = ipv4\nmyhostname = peer.test\nmydestination =\nalias_maps =\nmaillog_file = {at}/log\n\
                 maillog_file_prefixes = {at}\nimport_environment = MAIL_LOGTAG MAIL_CONFIG\n{settings}\n"
            ),
        )
        .unwrap();
        let master = fs::read_to_string("/usr/share/postfix/master.cf.dist")
            .or_else(|_| fs::read_to_string("/etc/postfix/master.cf"))
            .unwrap();
        // Its listener on our port, and no chroot: the queue folder has no /etc.
        let master = master
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.as_slice() {
                    ["smtp", "inet", ..] if front == "postscreen" => {
                        format!("127.0.0.1:{port} inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd")
                    }
                    ["smtp", "inet", ..] => format!("127.0.0.1:{port} inet n - n - - smtpd"),
                    [name, kind, private, unprivileged, _chroot, rest @ ..] if !line.starts_with(' ') => {
                        format!("{name} {kind} {private} {unprivileged} n {}", rest.join(" "))
                    }
                    _ => line.to_string(),
                }
            })
            .collect::<Vec<_>>()
            .join("\n");
        fs::write(dir.path().join("etc/master.cf"), master + "\n").unwrap();
        let postfix = Postfix { dir, port };
        let (ok, said) = postfix.control("start");
        assert!(ok, "postfix start: {said}\n{}", postfix.log());
        // Without the header that it wants it would log a complaint, which is not what a test looks for.
        let behind_proxy = settings.contains("haproxy");
        let greets = || if behind_proxy { greets_behind_proxy(port) } else { greets(port) };
        eventually("Postfix greets", Duration::from_secs(20), greets);
        postfix
    }

    pub fn etc(&self) -> PathBuf {
        self.dir.path().join("etc")
    }

    pub fn control(&self, word: &str) -> (bool, String) {
        let out = Command::new("/usr/sbin/postfix").arg("-c").arg(self.etc()).arg(word).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("abort");
    }
}
