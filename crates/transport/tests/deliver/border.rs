//! What the organization says in headers stays inside (behaviours 2.7): over each way that mail leaves by, from memory and from the journal.

use crate::smart_host;
use crate::stage::{Manners, Stage, peer, run};

const MESSAGE: &str = "X-Posthouse-Id: forged\r\nReceived: from a\r\n\tby b\r\nX-MS-Exchange-Organization-SCL: 9\r\n folded\r\n\
                       From: a@b.test\r\nResent-To: c@d.test\r\nx-ms-exchange-forest-hop: 1\r\n\r\nX-Posthouse-Id: body\r\n.\r\n";
const WITHOUT: &str =
    "Received: from a\r\n\tby b\r\nFrom: a@b.test\r\nResent-To: c@d.test\r\n\r\nX-Posthouse-Id: body\r\n.\r\n";
const BARE: &str = "From: a@b.test\r\n\r\nX-Posthouse-Id: body\r\n.\r\n";

#[test]
fn what_the_organization_says_in_headers_stays_inside() {
    for extensions in [&[][..], &["PIPELINING"], &["PIPELINING", "CHUNKING"]] {
        for (more, expected) in [("", WITHOUT), ("routing_headers = false", BARE)] {
            run(async move {
                let manners = Manners { extensions, ..Manners::default() };
                let port = peer(&manners).await;
                let stage = Stage::new(&smart_host("out", "*", &[port], more)).await;
                stage.send(&["b@away.test"], MESSAGE).await;
                stage.sees("SEND", 1).await;
                // Larger than what is kept in memory, so it is read from the journal, as a whole header of 100 KB is.
                let large =
                    format!("{}{MESSAGE}{}", "X-Posthouse-Much: x\r\n".repeat(5_000), "line\r\n".repeat(4_500_000));
                stage.send(&["c@away.test"], &large).await;
                stage.sees("SEND", 2).await;
                let got = manners.got.lock().unwrap().clone();
                assert_eq!(got[0], format!("b@away.test: {expected}"));
                let tail = "line\r\n".repeat(4_500_000);
                assert!(got[1] == format!("c@away.test: {expected}{tail}"), "{:?}", &got[1][..300]);
            });
        }
    }
}

#[test]
fn a_mailbox_gets_nothing_of_it_either() {
    run(async {
        let stage = Stage::new("[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n").await;
        stage.send(&["b@home.test"], MESSAGE).await;
        stage.sees("DELIVER", 1).await;
        let letters = stage.seen.letters.lock().unwrap();
        assert_eq!(letters[0], format!("home.test: Return-Path: <>\r\nDelivered-To: b@home.test\r\n{WITHOUT}"));
    });
}
