//! The etcd layer against a real etcd: operations, failover, leases and watches through kills, cuts and compaction.

use cluster::etcd::{Access, Change, Client, Error, Follower, Keeper, LeaseState, News, Txn};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tests::etcd::{Etcd, answers, clock};
use tokio::time::timeout;
use world::{Clock, RealChance, RealClock};

const SOON: Duration = Duration::from_secs(15);

/// What a follower believes, built from its news.
struct Believer {
    follower: Follower,
    keys: BTreeMap<String, Vec<u8>>,
    wholes: u32,
    silent: bool,
    last: u64,
}

impl Believer {
    fn start(client: Client, prefix: &str) -> Believer {
        let follower = Follower::start(client, prefix.into(), 500, Arc::new(RealChance));
        Believer { follower, keys: BTreeMap::new(), wholes: 0, silent: false, last: 0 }
    }

    async fn hear(&mut self) {
        let news = timeout(SOON, self.follower.next()).await.expect("news in time").expect("the follower lives");
        match news {
            News::Whole(whole) => {
                self.keys = whole.keys.into_iter().map(|kv| (kv.key, kv.value)).collect();
                self.wholes += 1;
                self.silent = false;
            }
            News::Changed(changes) => {
                for change in changes {
                    assert!(change.at() >= self.last, "changes come in order and once");
                    self.last = change.at();
                    match change {
                        Change::Put(kv) => drop(self.keys.insert(kv.key, kv.value)),
                        Change::Gone { key, .. } => drop(self.keys.remove(&key)),
                    }
                }
            }
            News::Silent(_) => self.silent = true,
            News::Back => self.silent = false,
        }
    }

    async fn until(&mut self, what: &str, mut holds: impl FnMut(&Believer) -> bool) {
        let start = RealClock.mono_ms();
        while !holds(self) {
            assert!(RealClock.mono_ms() - start < SOON.as_millis() as u64, "in time: {what}");
            self.hear().await;
        }
    }

    async fn until_equal(&mut self, client: &Client, prefix: &str) {
        let start = RealClock.mono_ms();
        let truth = loop {
            match client.read_prefix(prefix).await {
                Ok(whole) => break whole,
                Err(error) => assert!(RealClock.mono_ms() - start < 15_000, "{error}"),
            }
        };
        let truth: BTreeMap<_, _> = truth.keys.into_iter().map(|kv| (kv.key, kv.value)).collect();
        self.until("the follower knows what etcd knows", |b| b.keys == truth && !b.silent).await;
    }
}

async fn lease_until(keeper: &Keeper, what: &str, mut holds: impl FnMut(&LeaseState) -> bool) -> LeaseState {
    let mut state = keeper.state();
    let found = timeout(SOON, state.wait_for(|state| holds(state))).await;
    found.unwrap_or_else(|_| panic!("in time: {what}")).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_all_operations() {
    let etcd = Etcd::start(1);
    let client = etcd.client().await;
    let first = client.put("/a/1", b"one", 0).await.unwrap();
    assert_eq!(client.get("/a/1").await.unwrap().1.unwrap().mod_revision, first);
    assert_eq!(client.get("/a/2").await.unwrap().1, None);

    let swap = |at| Txn::new().if_at("/a/1", at).put("/a/1", b"two", 0).else_read("/a/1");
    assert!(client.decide(&swap(first)).await.unwrap().done);
    let lost = client.decide(&swap(first)).await.unwrap();
    assert!(!lost.done);
    assert_eq!(lost.read[0][0].value, b"two", "the loser sees what is there");

    let lease = client.grant(30).await.unwrap();
    client.put("/a/leased", b"x", lease.id).await.unwrap();
    assert_eq!(client.keep_alive(lease.id).await.unwrap(), 30_000);
    assert!(client.time_to_live(lease.id).await.unwrap() <= 30_000);
    client.revoke(lease.id).await.unwrap();
    client.revoke(lease.id).await.unwrap();
    assert_eq!(client.get("/a/leased").await.unwrap().1, None);
    assert_eq!(client.keep_alive(lease.id).await, Err(Error::LeaseGone));
    assert_eq!(client.time_to_live(lease.id).await, Err(Error::LeaseGone));
    assert_eq!(client.put("/a/leased", b"x", lease.id).await, Err(Error::LeaseGone));

    // More than a page, and more bytes than one answer may have.
    for n in 0..620 {
        client.put(&format!("/p/{n:04}"), b"v", 0).await.unwrap();
    }
    let big = vec![b'b'; 1_000_000];
    for n in 0..9 {
        client.put(&format!("/q/{n}"), &big, 0).await.unwrap();
    }
    assert_eq!(client.read_prefix("/p/").await.unwrap().keys.len(), 620);
    assert_eq!(client.read_prefix("/q/").await.unwrap().keys.len(), 9);
    assert!(matches!(client.put("/q/x", &vec![0; 2_000_000], 0).await, Err(Error::TooLarge(_))));

    assert!(client.delete("/a/1").await.unwrap() && !client.delete("/a/1").await.unwrap());
    assert_eq!(client.members().await.unwrap().len(), 1);
    let status = client.status().await;
    assert!(status[0].health.as_ref().unwrap().is_leader, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_member_comes_back_and_nothing_is_missed() {
    let mut etcd = Etcd::start(1);
    let client = etcd.client().await;
    let mut believer = Believer::start(client.clone(), "/k/");
    let keeper = Keeper::start(client.clone(), 5, clock());
    lease_until(&keeper, "a lease", |s| matches!(s, LeaseState::Held(_))).await;
    client.put("/k/a", b"1", 0).await.unwrap();
    believer.until("the first key", |b| b.keys.len() == 1).await;

    etcd.kill(0);
    believer.until("silence is told", |b| b.silent).await;
    assert!(matches!(client.put("/k/b", b"2", 0).await, Err(Error::Unreachable { .. })));
    etcd.start_member(0);
    answers(&client).await;
    let wholes = believer.wholes;
    client.put("/k/b", b"2", 0).await.unwrap();
    client.delete("/k/a").await.unwrap();
    believer.until_equal(&client, "/k/").await;
    assert_eq!(believer.wholes, wholes, "it went on where it was, without reading everything again");
    lease_until(&keeper, "the lease counts", |s| s.id(RealClock.mono_ms()).is_some()).await;
    keeper.release().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_and_a_frozen_member_is_left() {
    let mut etcd = Etcd::start(3);
    let client = etcd.client().await;
    let mut believer = Believer::start(client.clone(), "/k/");
    let keeper = Keeper::start(client.clone(), 5, clock());
    let LeaseState::Held(held) = lease_until(&keeper, "a lease", |s| matches!(s, LeaseState::Held(_))).await else {
        unreachable!()
    };
    for round in 0..4 {
        let leader = etcd.leader(&client).await;
        // A frozen leader still takes connections; only time shows that it is dead.
        if round % 2 == 0 {
            etcd.kill(leader)
        } else {
            etcd.signal(leader, "STOP")
        }
        let start = RealClock.mono_ms();
        answers(&client).await;
        client.put("/k/round", format!("{round}").as_bytes(), 0).await.unwrap();
        believer
            .until("the change comes through", |b| {
                b.keys.get("/k/round").is_some_and(|v| *v == format!("{round}").as_bytes())
            })
            .await;
        println!("round {round}: through after {} ms", RealClock.mono_ms() - start);
        if round % 2 == 0 { etcd.start_member(leader) } else { etcd.signal(leader, "CONT") }
    }
    assert_eq!(keeper.state().borrow().id(RealClock.mono_ms()), Some(held.id), "the lease lived through all of it");
    believer.until_equal(&client, "/k/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_during_a_cut_is_healed_by_reading_everything() {
    let etcd = Etcd::start(1);
    let writer = etcd.client().await;
    // Only the follower's connections go over the relay that is cut.
    let relay = crate::relay::Relay::start(etcd.endpoints()[0].port).await;
    let cut_off = Client::new(Access::plain(vec![relay.endpoint()])).unwrap();
    let mut believer = Believer::start(cut_off, "/k/");
    writer.put("/k/old", b"1", 0).await.unwrap();
    believer.until("the first key", |b| b.keys.len() == 1).await;

    relay.cut();
    writer.delete("/k/old").await.unwrap();
    let mut at = 0;
    for n in 0..20 {
        at = writer.put("/k/new", format!("{n}").as_bytes(), 0).await.unwrap();
    }
    writer.compact(at).await.unwrap();
    believer.until("silence is told", |b| b.silent).await;
    let wholes = believer.wholes;
    relay.mend();
    believer.until_equal(&writer, "/k/").await;
    assert_eq!(believer.wholes, wholes + 1, "one 'here is everything'");
    writer.put("/k/after", b"", 0).await.unwrap();
    believer.until_equal(&writer, "/k/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_swallows_everything_is_noticed() {
    let etcd = Etcd::start(1);
    let client = etcd.client().await;
    let relay = crate::relay::Relay::start(etcd.endpoints()[0].port).await;
    let mut endpoints = vec![relay.endpoint()];
    endpoints.extend(etcd.endpoints());
    let two = Client::new(Access::plain(endpoints)).unwrap();
    let mut believer = Believer::start(two.clone(), "/k/");
    client.put("/k/a", b"1", 0).await.unwrap();
    believer.until("the first key", |b| b.keys.len() == 1).await;
    relay.swallow();
    client.put("/k/b", b"1", 0).await.unwrap();
    believer.until("the second key, over the other endpoint", |b| b.keys.len() == 2).await;
    assert!(two.get("/k/b").await.unwrap().1.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_frozen_longer_than_the_lease() {
    let etcd = Etcd::start(1);
    let client = etcd.client().await;
    let keeper = Keeper::start(client.clone(), 2, clock());
    let LeaseState::Held(first) = lease_until(&keeper, "a lease", |s| matches!(s, LeaseState::Held(_))).await else {
        unreachable!()
    };
    client.put("/k/mine", b"", first.id).await.unwrap();
    etcd.signal(0, "STOP");
    let stopped = RealClock.mono_ms();
    let lost = lease_until(&keeper, "the loss", |s| matches!(s, LeaseState::Lost { .. })).await;
    let told = RealClock.mono_ms();
    let LeaseState::Lost { since_ms } = lost else { unreachable!() };
    assert!(since_ms <= told && told <= since_ms + 300, "told at its time: since {since_ms}, told {told}");
    assert!(since_ms <= stopped + 2_000, "counted from what was sent before etcd froze");
    etcd.signal(0, "CONT");
    let again = lease_until(&keeper, "a new lease", |s| matches!(s, LeaseState::Held(_))).await;
    let LeaseState::Held(second) = again else { unreachable!() };
    assert_ne!(first.id, second.id, "a lost lease is not taken up again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_and_tls() {
    let etcd = Etcd::start_tls();
    let admin = etcd.client().await;
    for (path, request) in [
        ("/v3/auth/user/add", serde_json::json!({ "name": "root", "password": "r" })),
        ("/v3/auth/user/add", serde_json::json!({ "name": "posthouse", "password": "secret" })),
        ("/v3/auth/role/add", serde_json::json!({ "name": "root" })),
        ("/v3/auth/role/add", serde_json::json!({ "name": "ph" })),
        (
            "/v3/auth/role/grant",
            // "/k/" to "/k0"
            serde_json::json!({ "name": "ph", "perm": { "permType": "READWRITE", "key": "L2sv", "range_end": "L2sw" } }),
        ),
        ("/v3/auth/user/grant", serde_json::json!({ "user": "root", "role": "root" })),
        ("/v3/auth/user/grant", serde_json::json!({ "user": "posthouse", "role": "ph" })),
        ("/v3/auth/enable", serde_json::json!({})),
    ] {
        admin.raw(path, &request).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let with = |name: &str, password: &str| {
        let user = Some((name.to_string(), password.to_string()));
        Client::new(Access { user, ..etcd.access() }).unwrap()
    };
    let client = with("posthouse", "secret");
    client.put("/k/a", b"1", 0).await.unwrap();
    assert!(matches!(client.put("/x/a", b"1", 0).await, Err(Error::Auth(_))), "not ours to write");
    assert!(matches!(with("posthouse", "wrong").put("/k/a", b"", 0).await, Err(Error::Auth(_))));
    assert!(matches!(admin.put("/k/a", b"", 0).await, Err(Error::Auth(_))), "no user at all");
    let mut believer = Believer::start(client.clone(), "/k/");
    believer.until("the key", |b| b.keys.len() == 1).await;

    // A changed permission makes old tokens stale; a restart forgets them. Both are renewed without a word.
    let root = with("root", "r");
    root.raw("/v3/auth/role/add", &serde_json::json!({ "name": "other" })).await.unwrap();
    client.put("/k/b", b"1", 0).await.unwrap();
    believer.until_equal(&client, "/k/").await;
    let lease = client.grant(5).await.unwrap();
    assert_eq!(client.keep_alive(lease.id).await.unwrap(), 5_000);
    let mut etcd = etcd;
    etcd.kill(0);
    etcd.start_member(0);
    let start = RealClock.mono_ms();
    while let Err(error) = client.put("/k/c", b"1", 0).await {
        assert!(error.later() && RealClock.mono_ms() - start < 15_000, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    believer.until_equal(&client, "/k/").await;

    // Without our certificate, or with another authority, there is no conversation.
    let mut stranger = etcd.access();
    stranger.trust.client_pem = None;
    let refused = Client::new(stranger).unwrap().put("/k/a", b"", 0).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
    let mut named = etcd.access();
    named.trust.client_pem = Some(etcd.certificates().named_pem.clone());
    named.user = Some(("posthouse".into(), "secret".into()));
    let refused = Client::new(named).unwrap().get("/k/a").await.unwrap_err();
    assert!(matches!(&refused, Error::Auth(text) if text.contains("common name")), "{refused}");
    let mut public = etcd.access();
    public.trust.ca_pem = None;
    let refused = Client::new(public).unwrap().get("/k/a").await.unwrap_err();
    assert!(refused.certainly_not_done() && refused.to_string().contains("TLS"), "{refused}");
}

#[tokio::test]
async fn what_is_not_etcd_is_said_to_be_none() {
    let (port, listener) = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap().port(), listener)
    };
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nIt works!").await;
        }
    });
    let endpoint = cluster::etcd::Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let client = Client::new(Access::plain(vec![endpoint])).unwrap();
    assert!(matches!(client.get("/a").await, Err(Error::Garbled(_))));
    let far = cluster::etcd::Endpoint::parse("http://192.0.2.1:2379").unwrap();
    let user = Some(("a".to_string(), "b".to_string()));
    let refused = Client::new(Access { user, ..Access::plain(vec![far]) }).err().unwrap();
    assert!(refused.contains("in the clear"), "{refused}");
}
