//! Messages of RFC 4475 (torture) kind, and bytes that are none.

use super::*;
use proptest::prelude::*;

const GOOD: &[u8] = b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\n\
Content-Length   : 4\r\ncseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\nRoute:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n\
v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\nbody";

#[test]
fn the_short_tortuous_invite_is_read() {
    let message = Message::parse(GOOD).unwrap();
    assert_eq!(message.lacks(), None);
    assert_eq!((message.cseq(), message.max_forwards()), (Some((9, b"INVITE".as_slice())), 68));
    assert_eq!(
        (message.tag(Name::To), message.tag(Name::From)),
        (Some(b"1918181833n".as_slice()), Some(b"98asjd8".as_slice()))
    );
    let branches: Vec<_> = vias(&message).map(|via| (via.transport, via.branch())).collect();
    let (udp, tcp) = (Some(Transport::Udp), Some(Transport::Tcp));
    assert_eq!(branches, [(udp, b"390skdjuw".as_slice()), (tcp, b"z9hG4bK9ikj8"), (udp, b"z9hG4bK30239")]);
    assert_eq!(message.body, b"body");
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let with = |line: &str| {
        let text =
            format!("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n{line}Content-Length: 2\r\n\r\nab");
        Message::parse(text.as_bytes()).map(|_| ())
    };
    assert_eq!(with("X: 1\r\n"), Ok(()));
    for (line, bad) in [
        ("X: 1\nVia: y\r\n", Bad::HeaderLine),
        ("X: 1\rY\r\n", Bad::HeaderLine),
        ("X: \0\r\n", Bad::HeaderLine),
        ("X 1\r\n", Bad::HeaderLine),
        (": 1\r\n", Bad::HeaderLine),
        ("Via: ,SIP/2.0/UDP x\r\n", Bad::HeaderLine),
        ("Route:\r\n", Bad::HeaderLine),
        ("l: 2\r\n", Bad::Twice),
        ("i: 1\r\nCall-ID: 2\r\n", Bad::Twice),
        (&"X: 1\r\n".repeat(HEADERS_MAX), Bad::TooManyHeaders),
    ] {
        assert_eq!(with(line), Err(bad), "{line:?}");
    }
    for (text, bad) in [
        ("OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nab", Bad::Length),
        ("OPTIONS sip:a SIP/2.0\r\nl: +1\r\n\r\nab", Bad::Length),
        ("OPTIONS sip:a SIP/2.0\r\nl: 99999999999999999999\r\n\r\n", Bad::Length),
        ("OPTIONS sip:a SIP/2.0\r\n", Bad::Unfinished),
        ("OPTIONS sip:a SIP/3.0\r\n\r\n", Bad::StartLine),
        ("OPTIONS  sip:a SIP/2.0\r\n\r\n", Bad::StartLine),
        ("SIP/2.0 99 x\r\n\r\n", Bad::StartLine),
        ("SIP/2.0 700 x\r\n\r\n", Bad::StartLine),
        ("\r\n\r\n", Bad::StartLine),
    ] {
        assert_eq!(Message::parse(text.as_bytes()).map(|_| ()), Err(bad), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// A good message with bytes exchanged, left out and put in: read without a panic, and what is made of it can be read again.
    #[test]
    fn what_is_sent_can_be_read(changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(BYTES)), 0..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = GOOD.to_vec();
        for (at, what, byte) in changes {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        let _ = frame(&bytes[..cut.index(bytes.len())]);
        let Ok(message) = Message::parse(&bytes) else { return Ok(()) };
        let source = "192.0.2.7:7".parse().unwrap();
        if top_via(&message).is_none() || message.lacks().is_some() {
            return Ok(());
        }
        let answer = Answer::new(&message, source, 486).finish();
        let answer = Message::parse(&answer).expect("an answer can be read");
        prop_assert_eq!(answer.cseq(), message.cseq());
        prop_assert_eq!(answer.value(Name::CallId), message.value(Name::CallId));
        prop_assert_eq!(answer.list(Name::Via).count(), message.list(Name::Via).count());
        prop_assert_eq!(top_via(&answer).and_then(|via| via.way_back()).map(|to| to.ip()), Some("192.0.2.7".parse().unwrap()));
        let via = "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKours";
        let sent = rewritten(&message, &Rewrite { uri: b"sip:b@10.0.0.1", via, source, drop_route: true });
        prop_assert_eq!(frame(&sent), Frame::Message(sent.len()));
        let sent = Message::parse(&sent).expect("a forwarded request can be read");
        prop_assert_eq!(sent.list(Name::Via).count(), message.list(Name::Via).count() + 1);
        prop_assert_eq!(sent.max_forwards() + 1, message.max_forwards().max(1));
        prop_assert_eq!(sent.body, message.body);
        let others = |of: &Message| -> Vec<Vec<u8>> { of.headers.iter().filter(|h| h.name == Name::Other).map(|h| h.line.to_vec()).collect() };
        prop_assert_eq!(others(&sent), others(&message), "what a proxy need not change is the bytes that came");
        let refused = Answer::new(&sent, source, 503).finish();
        let back = without_top_via(&Message::parse(&refused).unwrap());
        let back = Message::parse(&back).expect("a forwarded answer can be read");
        prop_assert_eq!(top_via(&back).map(|via| via.branch().to_vec()), top_via(&message).map(|via| via.branch().to_vec()));
        for bytes in [ack(&sent, &answer), cancel(&sent)] {
            let made = Message::parse(&bytes).expect("what we make can be read");
            prop_assert_eq!(made.lacks(), None);
            prop_assert_eq!(made.list(Name::Via).collect::<Vec<_>>(), [via.as_bytes()]);
        }
    }
}

const BYTES: &[u8] = b"\r\n\t \",;:<>=@[]\\/0aZ\0\xff";
