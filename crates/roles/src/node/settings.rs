//! Owns the translation of the documents into the spool's settings. Knows no defaults: the documents have them.

use directory::Loaded;

/// What the spool is opened with.
pub fn spool_settings(loaded: &Loaded) -> spool::Settings {
    let (node, org) = (&loaded.node, &loaded.org);
    let retry = &org.retry;
    let mut settings = spool::Settings::new(node.name.clone(), org.postmaster.clone());
    settings.journal.segment_bytes = node.journal.segment_bytes;
    settings.journal.keep_free_bytes = node.journal.keep_free_bytes;
    settings.body_memory_bytes = usize::try_from(node.limits.body_memory_bytes).unwrap_or(usize::MAX);
    settings.ladder = spool::Ladder {
        glitch_count: retry.glitch_count,
        glitch_interval_ms: retry.glitch_interval_ms,
        transient_count: retry.transient_count,
        transient_interval_ms: retry.transient_interval_ms,
        interval_ms: retry.interval_ms,
    };
    settings.message_retry_interval_ms = retry.message_retry_interval_ms;
    settings.delay_notice_after_ms = retry.delay_notice_after_ms.unwrap_or(0);
    settings.expire_after_ms = retry.expire_after_ms;
    // The grace after a start is for mail that waited while the node was down; it never outlasts the life of a message.
    settings.expire_grace_ms = settings.expire_grace_ms.min(retry.expire_after_ms);
    settings.poison_after = retry.poison_after;
    settings.postmaster_copy = retry.postmaster_copy.clone();
    settings
}
