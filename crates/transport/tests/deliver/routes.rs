//! Where mail goes when a limit, a document or a store changes its way.

use super::smart_host;
use super::stage::{Manners, Stage, eventually, peer, run};

#[test]
fn what_no_connector_takes_for_its_size_fails_at_once() {
    run(async {
        let manners = Manners::default();
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[port], "message_size_max = \"1KB\"")).await;
        stage.send(&["small@away.test"], "x\r\n").await;
        stage.send(&["large@away.test"], &"line\r\n".repeat(1000)).await;
        stage.sees("SEND small@away.test", 1).await;
        stage.sees("FAIL large@away.test", 1).await;
        let events = stage.seen.events.lock().unwrap().clone();
        let said = "552 5.3.4 message too large: send connector out takes messages up to 1KB";
        assert!(events.iter().any(|event| event.contains(said)), "{events:?}");
    });
}

#[test]
fn what_has_no_route_goes_when_the_document_has_one() {
    run(async {
        let manners = Manners::default();
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "other.test", &[port], "")).await;
        stage.send(&["b@away.test"], "x\r\n").await;
        assert!(stage.spool.queue_named("unreachable:no send connector is for this domain").is_some());
        let next = Stage::new(&smart_host("out", "*", &[port], "")).await;
        stage.org.store(next.org.load());
        stage.spool.reroute();
        stage.sees("SEND b@away.test", 1).await;
    });
}

#[test]
fn a_store_that_does_not_answer_is_passed_by_where_others_deliver_too() {
    for (preference, queue) in [("prefer", "servers:domain:y.test"), ("strict", "lmtp:127.0.0.1:1")] {
        run(async move {
            let name = Stage::new("").await.org.load().server().to_string();
            let stage = Stage::new(&format!(
                "[[accepted_domain]]\nname = \"y.test\"\ndeliver = \"lmtp:127.0.0.1:1\"\nservers = [\"{name}\", \"other.test\"]\n\
                 local_preference = \"{preference}\"\n[[server]]\nname = \"{name}\"\naddress = \"127.0.0.1:1\"\n\
                 [[server]]\nname = \"other.test\"\naddress = \"127.0.0.1:1\"\n"
            ))
            .await;
            stage.send(&["b@y.test"], "x\r\n").await;
            eventually("it has waited for its own store", || {
                let events = stage.seen.events.lock().unwrap().clone();
                events.iter().any(|event| event.starts_with("DEFER b@y.test") && event.contains("no connection"))
            })
            .await;
            eventually("it waits where it should", || {
                let messages = stage.spool.messages(&spool::Filter::default(), 10, None);
                messages.iter().any(|message| message.recipients.iter().any(|to| to.queue == queue))
            })
            .await;
        });
    }
}
