//! What a new receive connector is for: defaults to start from (behaviours 1.3). A usage decides nothing by itself: it stands in for keys
//! that are not written, what is written counts, and the documents that say what runs no longer name it.

/// What a connector is for, as `usage = "..."` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Anything: whoever chooses it says all of it.
    Custom,
    /// People and programs that log on: submission on port 587 under TLS.
    Client,
    /// Our own servers on port 25.
    Internal,
    /// Strangers.
    Internet,
    /// Organizations that we know, under TLS.
    Partner,
}

impl Usage {
    /// Keys with what they are where they are not written, as TOML.
    pub fn presets(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Usage::Custom => &[],
            Usage::Client => &[
                ("protocol", "\"submission\""),
                ("listen", "[\"0.0.0.0:587\", \"[::]:587\"]"),
                ("tls", "\"require\""),
                ("permissions", "[\"users\"]"),
            ],
            Usage::Internal => &[("listen", "[\"0.0.0.0:25\", \"[::]:25\"]"), ("permissions", "[\"servers\"]")],
            Usage::Internet => &[("permissions", "[\"anonymous\"]")],
            Usage::Partner => &[("tls", "\"require\""), ("permissions", "[\"partners\"]")],
        }
    }

    /// Keys that must be written, beside those that every connector needs.
    pub fn must_be_written(self) -> &'static [&'static str] {
        match self {
            Usage::Client | Usage::Internal | Usage::Internet => &[],
            Usage::Partner => &["remote"],
            Usage::Custom => &["remote", "permissions"],
        }
    }
}
