//! Probes of balancers: sessions that begin with PROXY v2 LOCAL from a trusted proxy.
//!
//! They hear in the greeting whether the node takes mail now of those who come to their connector, strangers mostly: 220, or
//! `421 4.3.2 not ready: WORD` (behaviours 6.2). A node that is short of something refuses strangers first, users and applications that may
//! relay later: a connector that is for those is ready longer. Always
//! holds: a probe is in no trace, no log and no bound of clients; it hands in no mail and logs on as nobody; a node that is full of clients
//! still answers it.

use super::session::Session;
use super::socket::Socket;
use super::visitor::Visitor;
use super::wire::Wire;
use super::{Receiver, Shared};
use directory::{Org, ReceiveConnector, ReceiveTls};
use mail::{Enhanced, Reply};
use metrics::counter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a probe may be silent, and how long it may take.
const IDLE_MAX: Duration = Duration::from_secs(15);
const PROBE_MAX: Duration = Duration::from_secs(60);

impl Receiver {
    /// Serves a probe that asks about a connector of this organization.
    pub(super) async fn probed(
        &self,
        socket: Socket,
        local: SocketAddr,
        peer: SocketAddr,
        (org, connector): (Arc<Org>, Arc<ReceiveConnector>),
    ) {
        let mut wire = Wire::new(socket, self.stop.clone(), IDLE_MAX, PROBE_MAX);
        // Too many: who gets no answer counts us as failed, which is what it would hear.
        let Some(mut visitor) = Visitor::probe(org, connector, &self.shared.doors, peer) else { return };
        if visitor.connector.tls == ReceiveTls::Implicit {
            if wire.start_tls(self.shared.certificates.acceptor()).await.is_err() {
                return;
            }
            visitor.under_tls(wire.tls().unwrap_or_default());
        }
        Session::new(&self.shared, local, wire, visitor).run().await;
    }
}

/// What a probe hears in place of the greeting; `None`: it is greeted.
pub fn not_ready(shared: &Shared, visitor: &Visitor, is_stopping: bool) -> Option<Reply> {
    let found = word(shared, visitor, is_stopping);
    counter!("posthouse_probe_sessions_total", "answer" => found.unwrap_or("ready")).increment(1);
    found.map(|word| Reply::of(421, Enhanced::new(4, 3, 2), format!("not ready: {word}")))
}

fn word(shared: &Shared, visitor: &Visitor, is_stopping: bool) -> Option<&'static str> {
    if is_stopping {
        return Some("stopping");
    }
    if let Err(word) = shared.readiness.for_probes(visitor.clients()) {
        return Some(word);
    }
    if shared.spool.can_accept().is_err() {
        return Some("no-room");
    }
    let protection = visitor.connector.protection(shared.copies_by_default);
    shared.spool.can_protect(protection).is_err().then_some("too-few-copies")
}

/// What a probe hears at MAIL.
pub fn no_mail() -> Reply {
    Reply::new(550, Enhanced::new(5, 7, 1), "a session of PROXY LOCAL is a probe and hands in no mail")
}

#[cfg(test)]
mod tests {
    use super::super::Asker;
    use super::super::testing::{Client, Node};
    use crate::limits::Doors;
    use mail::{Enhanced, Reply};
    use std::time::Duration;
    use tokio::net::TcpStream;

    const LOCAL: &str = "\r\n\r\n\0\r\nQUIT\n \0\0\0";

    /// A port that strangers and balancers on loopback use, with a tarpit that no test would sit out.
    fn document(settings: &str) -> String {
        format!(
            "[[accepted_domain]]\nname = \"posthouse.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"@LISTEN@\"]\n\
             tarpit_ms = 240000\nrequire_hello_domain = true\ntrusted_proxies = [\"127.0.0.1\"]\n{settings}\n"
        )
    }

    async fn probe(node: &Node) -> Client<TcpStream> {
        let mut probe = node.connect().await;
        probe.says(LOCAL).await;
        probe
    }

    #[tokio::test]
    async fn a_ready_node_greets_a_probe_and_takes_nothing_from_it() {
        let node = Node::start(&document("auth_without_tls = true\npermissions = [\"anonymous\", \"users\"]")).await;
        let mut probe = probe(&node).await;
        probe.hears("220").await;
        let extensions = probe.asks("EHLO haproxy\r\n", "250").await;
        assert!(!extensions.contains("AUTH"), "{extensions}");
        probe.asks("MAIL FROM:<a@client.example>\r\n", "550 5.7.1").await;
        probe.asks("AUTH PLAIN AGJvYgBib2I=\r\n", "5").await;
        probe.asks("NOOP\r\n", "250").await;
        probe.asks("QUIT\r\n", "221").await;
        probe.is_closed().await;
        assert_eq!(node.records.lines(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_node_that_takes_no_mail_of_strangers_says_why() {
        let node = Node::start(&document("")).await;
        let closed = Reply::new(421, Enhanced::new(4, 3, 2), "takes no new mail now, try later");
        *node.ready.0.lock().unwrap() = Some(closed);
        let heard = probe(&node).await.hears("421 4.3.2 not ready: draining\r\n").await;
        assert!(heard.ends_with("draining\r\n"), "one line: {heard}");
        *node.ready.0.lock().unwrap() = None;
        *node.ready.1.lock().unwrap() = Some((Asker::User, Duration::ZERO));
        probe(&node).await.hears("421 4.3.2 not ready: back-pressure\r\n").await;
        // Clients are greeted all the same: users and servers are not strangers.
        let mut client = node.connect().await;
        client.says("PROXY TCP4 192.0.2.77 192.0.2.1 40000 25\r\n").await;
        client.hears("220").await;
        let submission = Node::start(&document("protocol = \"submission\"\npermissions = [\"users\"]")).await;
        *submission.ready.1.lock().unwrap() = Some((Asker::User, Duration::ZERO));
        probe(&submission).await.hears("220").await;
        *submission.ready.1.lock().unwrap() = Some((Asker::Server, Duration::ZERO));
        probe(&submission).await.hears("421 4.3.2 not ready: back-pressure\r\n").await;
        *node.ready.1.lock().unwrap() = Some((Asker::Stranger, Duration::ZERO));
        probe(&node).await.hears("220").await;
        assert_eq!(node.records.lines(), Vec::<String>::new());
        node.receiver.stop(Duration::ZERO);
        probe(&node).await.hears("421 4.3.2 not ready: stopping\r\n").await;
    }

    #[tokio::test]
    async fn a_node_full_of_clients_still_answers_and_the_range_of_clients_need_not_have_the_balancer() {
        let node = Node::behind(&document("remote = [\"192.0.2.0/24\"]"), Doors::new(0, None)).await;
        let mut client = node.connect().await;
        client.says("PROXY TCP4 192.0.2.77 192.0.2.1 40000 25\r\n").await;
        client.hears("421 4.7.0").await;
        probe(&node).await.hears("220").await;
        assert_eq!(node.records.lines().len(), 1, "the client");
    }

    #[tokio::test]
    async fn a_probe_comes_under_tls_where_clients_do() {
        let node = Node::start(&document("tls = \"implicit\"")).await;
        let mut under_tls = node.tls(probe(&node).await).await;
        under_tls.hears("220").await;
        let node = Node::start(&document("")).await;
        let mut probe = probe(&node).await;
        probe.hears("220").await;
        probe.asks("EHLO lb\r\n", "250").await;
        probe.asks("STARTTLS\r\n", "220").await;
        node.tls(probe).await.asks("EHLO lb\r\n", "250").await;
    }

    #[tokio::test]
    async fn local_from_a_stranger_is_nothing_special() {
        let node = Node::start(&document("").replace("127.0.0.1\"]", "192.0.2.1\"]")).await;
        let mut stranger = node.connect().await;
        stranger.says("PROXY UNKNOWN\r\n").await;
        stranger.hears("220").await;
        let mut balancer = node.connect_as(node.address, "192.0.2.1:9".parse().unwrap()).await;
        balancer.says(LOCAL).await;
        balancer.hears("220").await;
        balancer.asks("EHLO haproxy\r\n", "250").await;
        stranger.hears("500").await;
    }
}
