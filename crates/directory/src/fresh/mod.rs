//! The documents of a fresh install (behaviours 1.9): exactly the receive connectors that a new server of each kind has, with comments for
//! who goes on from there. Pure text; `posthouse init` writes it and has it checked.

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Inside the organization: users and its own servers, nobody else.
    Hub,
    /// Between the organization and the Internet.
    Edge,
}

/// Both documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// `posthouse.toml`.
    pub node: String,
    /// `org.toml`.
    pub org: String,
}

impl Role {
    /// Every role with its word.
    pub const WORDS: &'static [(&'static str, Role)] = &[("hub", Role::Hub), ("edge", Role::Edge)];
}

/// The documents of a server that is called `name`, for mail of `domain`. The error says which of the two is no name.
pub fn documents(role: Role, name: &str, domain: &str) -> Result<Fresh, String> {
    for (what, text) in [("--name", name), ("--domain", domain)] {
        if !mail::address::is_domain(text) || !text.is_ascii() {
            return Err(format!("{what}: \"{text}\" is no host name; write it like mx1.example.org"));
        }
    }
    let org = match role {
        Role::Hub => include_str!("hub.toml"),
        Role::Edge => include_str!("edge.toml"),
    };
    let fill = |text: &str| text.replace("@NAME@", name).replace("@DOMAIN@", domain);
    Ok(Fresh { node: fill(include_str!("node.toml")), org: fill(org) })
}
