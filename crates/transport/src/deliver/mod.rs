//! From the spool to the next hops: pooled connections per hop, outcomes per recipient.
