//! One LDAP directory as the document says it.

use super::filter::Filter;
use crate::send::{Authorities, Credentials};
use std::fmt;
use std::sync::Arc;

/// Where recipients, and perhaps users, come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// Its name in logs and verbs, and of its files.
    pub name: Arc<str>,
    /// In order: the next one is asked when one fails. Nothing is ever written, so read-only replicas will do.
    pub servers: Vec<Server>,
    /// What its attributes are called by default.
    pub kind: Kind,
    /// Authorities that its servers' certificates are checked by; `None`: the public ones.
    pub tls_ca: Option<Authorities>,
    /// Whom we bind as; `None`: nobody.
    pub bind: Option<Credentials>,
    /// Where in the tree everybody is.
    pub base: Box<str>,
    /// What is a recipient.
    pub filter: Filter,
    /// The same as it is written.
    pub filter_text: Box<str>,
    /// Attributes by what they mean.
    pub names: Names,
    /// Entries of one page of an answer.
    pub page_size: u32,
    /// How often it is asked what has changed, in milliseconds.
    pub poll_ms: u64,
    /// How often it is read whole, in milliseconds: only so is seen who has gone.
    pub reload_ms: u64,
    /// If more than these per cent of the recipients would vanish, the answer is held until an operator accepts it.
    pub shrink_percent_max: u32,
    /// Its users log on here.
    pub logon: Option<Logon>,
}

/// One server of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As it is written: `ldaps://dc1.example.org`.
    pub url: Box<str>,
    /// Name or address; what its certificate must prove.
    pub host: Box<str>,
    /// 389, or 636 for `ldaps`, if none is written.
    pub port: u16,
    /// How it is protected.
    pub transit: Transit,
}

/// How the way to a server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS (RFC 4511 4.14) before anything else, or not at all.
    StartTls,
    /// In the clear.
    Clear,
}

/// Whose attribute names are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those of OpenLDAP and its usual schemas.
    OpenLdap,
    /// Those of Active Directory with the Exchange schema.
    ActiveDirectory,
}

/// Attributes by what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The address that somebody goes by.
    pub mail: Box<str>,
    /// Other addresses; a value may begin with `smtp:`, and with `SMTP:` it is the one to go by.
    pub aliases: Vec<Box<str>>,
    /// Members of a group: addresses, or names of entries.
    pub members: Vec<Box<str>>,
    /// Where mail goes instead: addresses, or names of entries.
    pub forward: Vec<Box<str>>,
    /// What dynamic groups choose by.
    pub attributes: Vec<Box<str>>,
}

/// How users of a directory log on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logon {
    /// Attributes that may hold the name which a user gives.
    pub names: Vec<Box<str>>,
    /// How long a right password is believed before the directory is asked again, in milliseconds.
    pub cache_ms: u64,
}

impl Kind {
    /// The words of the document.
    pub const WORDS: &'static [(&'static str, Kind)] =
        &[("openldap", Kind::OpenLdap), ("active-directory", Kind::ActiveDirectory)];

    /// The word in the document.
    pub fn word(self) -> &'static str {
        match self {
            Kind::OpenLdap => "openldap",
            Kind::ActiveDirectory => "active-directory",
        }
    }

    /// What is a recipient, if the document does not say.
    pub fn filter(self) -> &'static str {
        match self {
            Kind::OpenLdap => "(mail=*)",
            Kind::ActiveDirectory => "(|(mail=*)(proxyAddresses=*))",
        }
    }

    /// Attributes, if the document does not say.
    pub fn names(self) -> Names {
        let list = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
        match self {
            Kind::OpenLdap => Names {
                mail: "mail".into(),
                aliases: list(&["mailAlternateAddress"]),
                members: list(&["member", "uniqueMember", "rfc822MailMember"]),
                forward: list(&["mailForwardingAddress"]),
                attributes: Vec::new(),
            },
            Kind::ActiveDirectory => Names {
                mail: "mail".into(),
                aliases: list(&["proxyAddresses"]),
                members: list(&["member"]),
                forward: list(&["altRecipient", TARGET]),
                attributes: Vec::new(),
            },
        }
    }

    /// Attributes that hold the name of a user, if the document does not say.
    pub fn logon_names(self) -> Vec<Box<str>> {
        match self {
            Kind::OpenLdap => vec!["uid".into(), "mail".into()],
            Kind::ActiveDirectory => vec!["sAMAccountName".into(), "userPrincipalName".into(), "mail".into()],
        }
    }

    /// The attribute that says when an entry was changed on the server that is asked. (In Active Directory `uSNChanged` counts by
    /// server and means nothing on the next one; `whenChanged` is a time on each.)
    pub fn changed(self) -> &'static str {
        match self {
            Kind::OpenLdap => "modifyTimestamp",
            Kind::ActiveDirectory => "whenChanged",
        }
    }
}

impl Directory {
    /// All attributes that are asked for.
    pub fn wanted(&self) -> Vec<&str> {
        let Names { mail, aliases, members, forward, attributes } = &self.names;
        let lists = [aliases, members, forward, attributes].into_iter().flatten().map(|name| &**name);
        let mut wanted: Vec<&str> = [&**mail, "objectClass"].into_iter().chain(lists).collect();
        if self.kind == Kind::ActiveDirectory {
            wanted.extend([KEEP_COPY, TRUSTED_ONLY, SIZE_KB]);
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// The user who goes by this name, among the recipients. The name is a value, whatever it holds.
    pub fn user_filter(&self, logon: &Logon, name: &str) -> Filter {
        let has = |attribute: &str| Filter::Equal(attribute.into(), name.as_bytes().into());
        Filter::And(vec![self.filter.clone(), Filter::Or(logon.names.iter().map(|attribute| has(attribute)).collect())])
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Active Directory: somebody's address outside.
pub(super) const TARGET: &str = "targetAddress";
/// Active Directory: forwarded mail is kept as well.
pub(super) const KEEP_COPY: &str = "deliverAndRedirect";
/// Active Directory: strangers may not send to it.
pub(super) const TRUSTED_ONLY: &str = "msExchRequireAuthToSendTo";
/// Active Directory: the largest message in KiB.
pub(super) const SIZE_KB: &str = "delivContLength";
