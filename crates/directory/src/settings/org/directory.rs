//! The rows of `[[directory]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Choice, Count, Duration, Flag, Text, Texts};
use crate::settings::{DAY, HOUR, SECOND, Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "Its name in logs and verbs: letters, digits and hyphens."),
    row(
        "servers",
        Texts,
        Needed,
        "`ldaps://host` or `ldap://host`, with `:port` where it is another one than 636 and 389. The next one is asked when one fails; read-only replicas will do.",
    ),
    row(
        "kind",
        Choice(&["openldap", "active-directory"]),
        Is("\"openldap\""),
        "Whose attributes are meant, where the keys below say nothing.",
    ),
    row(
        "tls",
        Choice(&["require", "off"]),
        Is("\"require\""),
        "`require`: servers `ldap://` are asked for STARTTLS first. `off`: they are spoken to in the clear.",
    ),
    row(
        "tls_ca_file",
        Text,
        Absent("the public authorities"),
        "Authorities that the servers' certificates are checked by, PEM.",
    ),
    row("bind_dn", Text, Absent("nobody"), "Whom we bind as. Reading is all that it must be allowed."),
    row("password_file", Text, Absent("none"), "File whose first line is the password of `bind_dn`."),
    row("base", Text, Needed, "The entry below which everybody is, for example `ou=people,dc=example,dc=org`."),
    row(
        "filter",
        Text,
        Absent("`(mail=*)`; Active Directory `(|(mail=*)(proxyAddresses=*))`"),
        "What is a recipient (RFC 4515). An entry without an address is none.",
    ),
    row("mail_attribute", Text, Absent("`mail`"), "The address that somebody goes by."),
    row(
        "alias_attributes",
        Texts,
        Absent("`mailAlternateAddress`; Active Directory `proxyAddresses`"),
        "More addresses. `smtp:` before one is no part of it, and the one behind `SMTP:` is the one to go by.",
    ),
    row(
        "member_attributes",
        Texts,
        Absent("`member`, `uniqueMember`, `rfc822MailMember`; Active Directory `member`"),
        "Members of a group: addresses, or names of entries.",
    ),
    row(
        "forward_attributes",
        Texts,
        Absent("`mailForwardingAddress`; Active Directory `altRecipient`, `targetAddress`"),
        "Where mail goes instead: an address or the name of an entry. A copy is kept if the own address stands there too (Active Directory: by `deliverAndRedirect`).",
    ),
    row("attributes", Texts, Is("[]"), "More attributes to be read: those that dynamic groups choose by."),
    row(
        "page_size",
        Count(1, 10_000),
        Is("1000"),
        "Entries of one page of an answer; Active Directory gives 1000 at most.",
    ),
    row("poll_interval", Duration(SECOND, DAY), Is("\"1m\""), "How often it is asked what was changed or added."),
    row(
        "reload_interval",
        Duration(SECOND, 7 * DAY),
        Is("\"1h\""),
        "How often it is read whole. Who was removed is seen only then, or by `posthouse directory sync`.",
    ),
    row(
        "shrink_percent_max",
        Count(0, 100),
        Is("10"),
        "If more than so many per cent of the recipients would vanish, what was read is held and reported until `posthouse directory accept`.",
    ),
    row(
        "logon",
        Flag,
        Is("false"),
        "Its users may log on with `plain` and `login`: their passwords are checked by a bind.",
    ),
    row(
        "logon_attributes",
        Texts,
        Absent("`uid`, `mail`; Active Directory `sAMAccountName`, `userPrincipalName`, `mail`"),
        "Attributes that may hold the name which a user gives.",
    ),
    row(
        "logon_cache",
        Duration(0, HOUR),
        Is("\"2m\""),
        "How long a right password is believed before the directory is asked again. A disabled account can log on no longer than that.",
    ),
];
