//! TLS towards next hops: what each level of a send connector demands.
