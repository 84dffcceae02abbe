//! Rules of receive connectors that are proven over many cases, by real sessions in this process: nobody relays who may not, whatever the
//! order of commands; what is explained is what a session does; the header firewall at the door.

use super::testing::{Client, Node};
use directory::{Caller, Question, ReceiveTls};
use mail::{Mailbox, ReversePath};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// Repeatable chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    /// Some of them, in order, at least one.
    fn some<'c, T>(&mut self, choices: &'c [T]) -> Vec<&'c T> {
        let mut some: Vec<&T> = choices.iter().filter(|_| self.one_in(3)).collect();
        if some.is_empty() {
            some.push(self.of(choices));
        }
        some
    }
}

/// Bob and Carol, both with the password "pencil", in a form that is checked quickly.
fn users() -> String {
    let key = crate::auth::scram_sha_256(b"pencil", [2; 16]);
    format!(
        "[[user]]\nname = \"bob@ours.test\"\npassword = \"{key}\"\nmay_send_as = [\"sales@ours.test\"]\n\
         [[user]]\nname = \"carol\"\npassword = \"{key}\"\n"
    )
}

const DOMAIN: &str = "[[accepted_domain]]\nname = \"ours.test\"\nrecipients = [\"bob\"]\n";
const BOB: &str = "AUTH PLAIN AGJvYkBvdXJzLnRlc3QAcGVuY2ls\r\n";
const BOB_WRONG: &str = "AUTH PLAIN AGJvYkBvdXJzLnRlc3QAcGVuY2lsbA==\r\n";

/// Invariant 3 of behaviours 11. The model knows one thing: whether the last of AUTH and STARTTLS that worked was an AUTH.
async fn walk<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    dice: &mut Dice,
    steps: usize,
    under_tls: bool,
) {
    let (mut logged_on, mut greeted) = (false, !under_tls);
    for _ in 0..steps {
        let (command, is_logon) = *dice.of(&[
            ("EHLO a.test\r\n", false),
            ("HELO a.test\r\n", false),
            (BOB, true),
            (BOB_WRONG, false),
            ("RSET\r\n", false),
            ("NOOP\r\n", false),
            ("MAIL FROM:<bob@ours.test>\r\n", false),
            ("MAIL FROM:<>\r\n", false),
            ("MAIL FROM:<mallory@away.test>\r\n", false),
            ("RCPT TO:<bob@ours.test>\r\n", false),
            ("RCPT TO:<victim@away.test>\r\n", false),
            ("RCPT TO:<victim@away.test>\r\n", false),
            ("DATA\r\n", false),
        ]);
        client.says(command).await;
        let reply = client.hears("").await;
        if reply.starts_with("354") {
            client.asks(".\r\n", "250").await;
        }
        if is_logon && reply.starts_with("235") {
            assert!(greeted && under_tls, "AUTH is for sessions under TLS that have said EHLO: {reply}");
            logged_on = true;
        }
        greeted |= command.starts_with("EHLO");
        if command.starts_with("RCPT TO:<victim") {
            assert!(logged_on || !reply.starts_with("250"), "relayed for nobody: {reply}");
        }
        if command.starts_with("MAIL FROM:<mallory") && logged_on {
            assert!(!reply.starts_with("250"), "a user sends as somebody else: {reply}");
        }
    }
}

#[tokio::test]
async fn nobody_relays_without_the_permission_whatever_the_order_of_commands() {
    let node = Node::start(&format!(
        "{DOMAIN}{}[[receive_connector]]\nname = \"in\"\nlisten = [\"@LISTEN@\"]\npermissions = [\"anonymous\", \"users\"]\n\
         errors_max = 1000\nlogon_failures_max = 0\ntarpit_ms = 0\nsession_timeout = \"1h\"\n",
        users()
    ))
    .await;
    let mut relayed = 0;
    for seed in 0..60 {
        let dice = &mut Dice(seed);
        let mut client = node.client().await;
        walk(&mut client, dice, 20, false).await;
        client.asks("EHLO a.test\r\n", "250").await;
        client.asks("STARTTLS\r\n", "220").await;
        let mut client = node.tls(client).await;
        walk(&mut client, dice, 60, true).await;
        client.asks("EHLO a.test\r\n", "250").await;
        client.says(&format!("{BOB}RSET\r\nMAIL FROM:<sales@ours.test>\r\nRCPT TO:<victim@away.test>\r\n")).await;
        client.hears("").await;
        client.asks("", "250").await;
        client.asks("", "250 2.1.0").await;
        relayed += usize::from(client.hears("250 2.1.5").await.starts_with("250"));
    }
    assert_eq!(relayed, 60, "who has the permission relays");
}

const SOCKETS: [&str; 3] = ["0.0.0.0:25", "192.0.2.1:25", "192.0.2.2:25"];
const RANGES: [&str; 5] = ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.7", "10.1.1.8"];
const PEERS: [&str; 5] = ["10.9.9.9", "10.1.9.9", "10.1.1.9", "10.1.1.7", "11.0.0.1"];
const SINGLES: [&str; 8] = [
    "anonymous:any-recipient",
    "anonymous:own-domain-sender",
    "anonymous:any-sender",
    "anonymous:submit",
    "users:any-sender",
    "users:any-recipient",
    "bob@ours.test:own-domain-sender",
    "carol:submit",
];

/// A document of some connectors; it need not be a good one.
fn document(dice: &mut Dice) -> String {
    let list = |texts: &[&&str]| texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
    let mut text = format!("{DOMAIN}{}", users());
    for n in 0..1 + dice.below(4) {
        let permissions = dice.some(&["anonymous", "users", "partners"]);
        text.push_str(&format!(
            "[[receive_connector]]\nname = \"c{n}\"\nlisten = [{}]\nremote = [{}]\npermissions = [{}]\ntls = \"{}\"\n\
             auth_without_tls = {}\nown_domain_senders = {}\nenabled = {}\nauth_tarpit_ms = 0\ntarpit_ms = 0\n",
            list(&dice.some(&SOCKETS)),
            list(&dice.some(&RANGES)),
            list(&permissions),
            dice.of(&["offer", "offer", "require"]),
            dice.one_in(2),
            !dice.one_in(3),
            !dice.one_in(6),
        ));
        for key in ["grant", "deny"] {
            if dice.one_in(2) {
                text.push_str(&format!("{key} = [{}]\n", list(&dice.some(&SINGLES))));
            }
        }
        if dice.one_in(3) {
            text.push_str("refuse_domains = [\"single-label\"]\n");
        }
    }
    text
}

/// What a session says to MAIL and to RCPT, as a user if one is named.
async fn asked<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    user: bool,
    mail: &ReversePath,
    rcpt: &Mailbox,
) -> (String, Option<String>) {
    client.asks("EHLO a.test\r\n", "250").await;
    if user {
        client.asks(BOB, "235").await;
    }
    client.says(&format!("MAIL FROM:{mail}\r\n")).await;
    let said = client.hears("").await;
    if !said.starts_with("250") {
        return (said, None);
    }
    client.says(&format!("RCPT TO:<{rcpt}>\r\n")).await;
    (said, Some(client.hears("").await))
}

#[tokio::test]
async fn what_is_explained_is_what_a_session_does() {
    let node = Node::start(&format!("{DOMAIN}[[receive_connector]]\nname = \"in\"\nlisten = [\"@LISTEN@\"]\n")).await;
    let (mut met, mut refused, mut answered) = (0, 0, 0);
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let Some(org) = node.reload(&document(dice)) else { continue };
        for _ in 0..6 {
            let local: SocketAddr = dice.of(&["192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25"]).parse().unwrap();
            let from = dice.of(&PEERS).parse().unwrap();
            let mail = *dice.of(&["", "bob@ours.test", "sales@ours.test", "x@ours.test", "x@away.test"]);
            let mail = match mail {
                "" => ReversePath::Null,
                address => ReversePath::Mailbox(Mailbox::parse(address, false).unwrap()),
            };
            let rcpt = dice.of(&["bob@ours.test", "nobody@ours.test", "x@away.test", "x@intranet"]);
            let rcpt = Mailbox::parse(rcpt, false).unwrap();
            let user = dice.one_in(2).then(|| "bob@ours.test".to_string());
            let question = Question {
                user: user.clone(),
                mail: Some(mail.clone()),
                rcpt: Some(rcpt.clone()),
                ..Question::connection(from, local)
            };
            let explained = org.explained(&question);
            let mut client = node.connect_as(local, SocketAddr::new(from, 40_000)).await;
            let Some((connector, _)) = &explained.connector else {
                client.hears("421 4.3.2").await;
                refused += 1;
                continue;
            };
            client.hears("220").await;
            met += 1;
            let who = if user.is_some() { Caller::User } else { Caller::Peer };
            let answers = explained.answers.iter().find(|answers| answers.who == who);
            client.asks("EHLO a.test\r\n", "250").await;
            let heard = if connector.tls == ReceiveTls::Require || !connector.auth_without_tls {
                client.asks("STARTTLS\r\n", "220").await;
                let mut client = node.tls(client).await;
                if answers.is_none() {
                    client.asks("EHLO a.test\r\n", "250").await;
                    client.asks(BOB, "5").await;
                    continue;
                }
                asked(&mut client, user.is_some(), &mail, &rcpt).await
            } else if answers.is_none() {
                client.asks(BOB, "5").await;
                continue;
            } else {
                asked(&mut client, user.is_some(), &mail, &rcpt).await
            };
            let answers = answers.unwrap();
            let said = |refusal: Option<mail::Reply>, accepted: &str| {
                refusal.map_or(accepted.to_string(), |reply| format!("{reply}\r\n"))
            };
            let about = format!("{question:?}\n{explained:?}");
            assert!(heard.0.starts_with(&said(answers.mail.refusal(), "250 2.1.0")), "{}{about}", heard.0);
            let expected = answers.rcpt.map(|answer| said(answer.refusal(), "250 2.1.5"));
            assert_eq!(heard.1.is_some(), expected.is_some(), "{about}");
            if let (Some(heard), Some(expected)) = (heard.1, expected) {
                assert!(heard.starts_with(&expected), "{heard}{about}");
                answered += 1;
            }
        }
    }
    assert!(met > 200 && refused > 50 && answered > 80, "{met} connections, {refused} refused, {answered} RCPT");
}

const FORGED: &str = "X-Posthouse-Id: forged\r\nReceived: from a\r\n\tby b\r\nx-MS-exchange-ORGANIZATION-AuthAs: Internal\r\n\
                      \x20folded\r\nFrom: a@client.example\r\nX-MS-Exchange-Forest-Hop : 1\r\nResent-To: c@d\r\nX-Mine: stays\r\n\r\nX-Posthouse-Id: body\r\n";

/// Header fields of the organization are believed of nobody who comes in by an address or a password (behaviours 2.7).
#[tokio::test]
async fn nobody_says_in_a_header_what_only_the_organization_says() {
    let kept = "From: a@client.example\r\nX-Mine: stays\r\n\r\nX-Posthouse-Id: body\r\n";
    for (settings, routing) in [
        ("permissions = [\"anonymous\"]", true),
        ("permissions = [\"servers\"]\nexternally_secured = true", true),
        ("permissions = [\"anonymous\"]\ndeny = [\"anonymous:routing-headers\"]", false),
        ("permissions = [\"anonymous\"]\nprotocol = \"submission\"", true),
    ] {
        let node = Node::start(&format!(
            "{DOMAIN}[[receive_connector]]\nname = \"in\"\nlisten = [\"@LISTEN@\"]\ntarpit_ms = 0\n{settings}\n"
        ))
        .await;
        for cut in [FORGED.len(), 1, 5] {
            let mut client = node.client().await;
            client.asks("MAIL FROM:<a@client.example>\r\n", "250").await;
            client.asks("RCPT TO:<bob@ours.test>\r\n", "250").await;
            client.asks("DATA\r\n", "354").await;
            for part in FORGED.as_bytes().chunks(cut) {
                client.says(std::str::from_utf8(part).unwrap()).await;
                if cut < FORGED.len() {
                    tokio::task::yield_now().await;
                }
            }
            client.asks(".\r\n", "250 2.0.0").await;
        }
        for message in node.all_messages() {
            let expected = match routing {
                true => {
                    "Received: from a\r\n\tby b\r\nFrom: a@client.example\r\nResent-To: c@d\r\nX-Mine: stays\r\n\r\nX-Posthouse-Id: body\r\n"
                }
                false => kept,
            };
            assert!(message.ends_with(expected), "{settings}\n{message}");
            assert_eq!(
                message.matches("forged").count() + message.to_lowercase().matches("x-ms-").count(),
                0,
                "{message}"
            );
        }
    }
}
