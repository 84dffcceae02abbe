//! TLS that ends here, and TLS that goes through by name.

use super::*;
use ServiceProtocol::{Https, Imaps};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::sync::Mutex;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server(host: &str) -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec![host.to_string()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (Arc::new(config), certificate)
}

fn client(
    at: SocketAddr,
    host: &'static str,
    trusted: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), host.try_into().unwrap()).unwrap(), stream)
}

#[test]
fn tls_ends_here_and_the_member_hears_of_it() {
    let (config, certificate) = server("imap.example");
    let headers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&headers);
    let plain = proxied("plain", ProxyHeader::V2, move |mut client| {
        let mut header = [0; 16];
        client.stream.read_exact(&mut header).unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([header[14], header[15]]))];
        client.stream.read_exact(&mut rest).unwrap();
        seen.lock().unwrap().push(rest);
        client.say("* OK plain\r\n");
        let mut line = client.line();
        while !line.is_empty() {
            client.say(&format!("{line} OK\r\n"));
            line = client.line();
        }
    });
    let mut plan = plan(Imaps);
    plan.tls = Some(config);
    let fixture = plan.serve(vec![dead("dead"), says("full", "* BYE full\r\n"), plain]);
    let mut stream = BufReader::new(client(fixture.at, "imap.example", &certificate));
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "* OK plain\r\n");
    // More than any buffer in between holds.
    let long = "x".repeat(300_000);
    let mut answer = String::new();
    stream.get_mut().write_all(format!("{long}\r\n").as_bytes()).unwrap();
    stream.read_line(&mut answer).unwrap();
    assert_eq!(answer.len(), long.len() + " OK\r\n".len());
    stream.get_mut().conn.send_close_notify();
    stream.get_mut().flush().unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    let header = headers.lock().unwrap().remove(0);
    let has = |text: &[u8]| memchr::memmem::find(&header, text).is_some();
    assert!(has(b"imap.example") && has(b"TLSv1.3") && has(b"TLS_AES_"), "{}", header.escape_ascii());
    // What is no TLS is no client.
    assert!(!fixture.client().ask("a1 NOOP\r\n").starts_with('*'));
    fixture.until(|totals| totals.active == 0);
}

#[test]
fn names_choose_members_and_nothing_is_decrypted() {
    let tls_member = |name: &'static str, host: &'static str| {
        let (config, certificate) = server(host);
        let of_name = member(name, move |client| {
            let stream = client.stream.into_inner();
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let _ = stream.write_all(format!("I am {name}\r\n").as_bytes());
            let _ = stream.flush();
            let _ = stream.read(&mut [0; 1]);
        });
        (ServiceMember { sni: vec![host.into()], ..of_name }, certificate)
    };
    let (first, first_certificate) = tls_member("first", "one.example");
    let (second, second_certificate) = tls_member("second", "two.example");
    let fixture = plan(Https).serve(vec![first, second]);
    for (host, certificate, is) in
        [("one.example", &first_certificate, "I am first"), ("two.example", &second_certificate, "I am second")]
    {
        for _ in 0..2 {
            let mut line = String::new();
            BufReader::new(client(fixture.at, host, certificate)).read_line(&mut line).unwrap();
            assert_eq!(line.trim_end(), is);
        }
    }
    // What is no TLS has no name.
    assert_eq!(fixture.client().ask("GET / HTTP/1.0\r\n\r\n"), "");
}
