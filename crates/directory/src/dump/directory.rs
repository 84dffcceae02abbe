//! `[[directory]]` as it is written.

use super::{plain, text, texts};
use crate::ldap::{Directory, Transit};
use crate::unit::duration_text;

pub(super) fn directory_value(directory: &Directory, key: &str) -> Option<String> {
    let names = &directory.names;
    match key {
        "name" => text(&directory.name),
        "servers" => texts(&directory.servers),
        "kind" => text(directory.kind.word()),
        "tls" => {
            let clear = directory.servers.iter().any(|server| server.transit == Transit::Clear);
            text(if clear { "off" } else { "require" })
        }
        "tls_ca_file" => text(directory.tls_ca.as_ref()?.file.display()),
        "bind_dn" => text(&directory.bind.as_ref()?.username),
        "password_file" => text(directory.bind.as_ref()?.password_file.display()),
        "base" => text(&directory.base),
        "filter" => text(&directory.filter_text),
        "mail_attribute" => text(&names.mail),
        "alias_attributes" => texts(&names.aliases),
        "member_attributes" => texts(&names.members),
        "forward_attributes" => texts(&names.forward),
        "attributes" => texts(&names.attributes),
        "page_size" => plain(directory.page_size),
        "poll_interval" => text(duration_text(directory.poll_ms)),
        "reload_interval" => text(duration_text(directory.reload_ms)),
        "shrink_percent_max" => plain(directory.shrink_percent_max),
        "logon" => plain(directory.logon.is_some()),
        "logon_attributes" => texts(&directory.logon.as_ref()?.names),
        "logon_cache" => text(duration_text(directory.logon.as_ref()?.cache_ms)),
        _ => None,
    }
}
