//! A node with everything that a stranger can reach through services, and what strangers must not hurt.

use std::fs;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::dovecot::Dovecot;
use crate::front::{Front, Greeter, PATIENCE, at, greeting, here, logs_on, secured, service};
use crate::wire::Wire;
use crate::{eventually, free_port};

/// A hub and its services in one process.
pub struct Besieged {
    pub front: Front,
    pub smtp: SocketAddr,
    pub imaps: SocketAddr,
    pub https: SocketAddr,
    pub sip: SocketAddr,
    pub sips: SocketAddr,
    _dovecot: Dovecot,
    _greeter: Greeter,
}

impl Besieged {
    pub fn start() -> Besieged {
        let (dovecot, greeter) = (Dovecot::start("mail.test", ""), Greeter::start("um"));
        let [smtp, imaps, https, sip, sips] = [9; 5].map(at);
        let hub = SocketAddr::from(([127, 0, 0, 21], free_port()));
        let mut front = Front::new("", "");
        let connector = format!(
            "[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n[[receive_connector]]\nname = \"behind\"\n\
             listen = [\"{hub}\"]\ntrusted_proxies = [\"127.0.0.1\"]\ntarpit_ms = 0\nconnections_max = 20000\n\
             connections_per_source_max = 20000\nconnections_per_source_percent_max = 100\n"
        );
        let smtp_more = "proxy = \"v2\"\nconnections_max = 100000";
        let um = [("um", greeter.address.to_string(), "")];
        let org = connector
            + &service("smtp", "smtp", smtp, smtp_more, &[("hub", hub.to_string(), "")])
            + &service("mail", "imaps", imaps, "tls = \"terminate\"", &[("d", here(dovecot.imap), "")])
            + &service("web", "https", https, "", &[("w", here(dovecot.imaps), "sni = [\"mail.test\"]")])
                .replace("probe_interval", "probe = \"tcp\"\nprobe_interval")
            + &service("voice", "sip", sip, "", &um)
            + &service("voices", "sips", sips, "", &um);
        let limits = "[limits]\nconnection_rate_per_minute = 0\nconnections_max = 20000\n";
        fs::write(front.node.dir.join("posthouse.toml"), format!("name = \"front.test\"\n{limits}")).unwrap();
        front.start(&org);
        for (service, member) in [("smtp", "hub"), ("mail", "d"), ("web", "w")] {
            front.until(service, member, "up");
        }
        Besieged { front, smtp, imaps, https, sip, sips, _dovecot: dovecot, _greeter: greeter }
    }

    /// Everybody is served: a message over the SMTP service, a log-on over each TLS, an answer to OPTIONS.
    pub fn serves(&self) {
        let mut wire = Wire::over(TcpStream::connect(self.smtp).unwrap());
        assert!(wire.reply().join("").starts_with("220"), "{}", self.front.node.log());
        wire.sends_a_message(|| self.front.node.log());
        let farewell = wire.command("QUIT");
        assert!(farewell.starts_with("221"), "QUIT: {farewell}");
        for service in [self.imaps, self.https] {
            let mut wire = secured(service, "mail.test").unwrap();
            assert!(greeting(&mut wire).starts_with("* OK"));
            logs_on(&mut wire);
        }
        self.calls();
    }

    /// Gateways get an answer; that there is nobody who takes calls is one.
    pub fn calls(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let own = socket.local_addr().unwrap();
        let ask = format!(
            "OPTIONS sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKx;rport\r\nFrom: <sip:g@{own}>;tag=1\r\n\
             To: <sip:x@y>\r\nCall-ID: one\r\nCSeq: 7 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        eventually("SIP is answered", PATIENCE, || {
            socket.send_to(ask.as_bytes(), self.sip).unwrap();
            socket.recv(&mut [0; 4096]).is_ok()
        });
        let mut wire = secured(self.sips, "voice.test").unwrap();
        wire.send(ask.replace("/UDP", "/TLS").as_bytes()).unwrap();
        assert!(greeting(&mut wire).starts_with("SIP/2.0 "));
    }

    /// Connections of a service that are there now.
    pub fn active(&self, service: &str) -> f64 {
        self.front.node.counted("posthouse_service_active", &format!("\"{service}\""))
    }
}
