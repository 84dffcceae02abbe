//! The organization document's versions in a real etcd.

use cluster::keys::Keys;
use cluster::org::{DOCUMENT_BYTES_MAX, HISTORY_MAX, OrgError, OrgStore, Proposal};
use tests::etcd::Etcd;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_applied_one_after_the_other() {
    let etcd = Etcd::start(1);
    let client = etcd.client().await;
    let org = OrgStore::new(client.clone(), Keys::new("/posthouse/test"));
    let proposal = |base, text| Proposal { base, text, who: "root", why: "because", when_ms: 7 };
    assert_eq!(org.read().await.unwrap(), None);
    let first = org.apply(&proposal(0, "one")).await.unwrap();
    assert_eq!((first.version, first.text.as_str()), (1, "one"));
    assert_eq!(org.apply(&proposal(0, "two")).await, Err(OrgError::Stale(1)));

    // Two at once: one wins, the other hears which version to look at.
    let (left, right) = (proposal(1, "left"), proposal(1, "right"));
    let (left, right) = tokio::join!(org.apply(&left), org.apply(&right));
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
    assert_eq!(left.err().or(right.err()), Some(OrgError::Stale(2)));

    let back = org.rollback(1, &proposal(2, "")).await.unwrap();
    assert_eq!((back.version, back.text.as_str()), (3, "one"));
    assert_eq!(org.rollback(99, &proposal(3, "")).await, Err(OrgError::NoVersion(99)));
    for base in 3..HISTORY_MAX + 5 {
        org.apply(&proposal(base, "more")).await.unwrap();
    }
    let versions: Vec<u64> = org.history().await.unwrap().iter().map(|document| document.version).collect();
    assert_eq!(versions, (6..=HISTORY_MAX + 5).collect::<Vec<_>>(), "the newest {HISTORY_MAX} are kept");

    let newest = HISTORY_MAX + 5;
    let long = "x".repeat(DOCUMENT_BYTES_MAX - 200);
    org.apply(&proposal(newest, &long)).await.unwrap();
    assert_eq!(org.apply(&proposal(newest + 1, &"\n".repeat(DOCUMENT_BYTES_MAX / 2))).await, Err(OrgError::TooLong));
    client.put("/posthouse/test/org", b"by hand", 0).await.unwrap();
    assert_eq!(org.read().await, Err(OrgError::Unreadable));
}
