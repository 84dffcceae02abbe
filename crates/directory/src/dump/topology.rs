//! Sites, site links and servers as they are written.

use super::{plain, text, texts};
use crate::topology::{Server, Site, SiteLink};
use crate::unit::bytes_text;

pub(super) fn site_value(site: &Site, key: &str) -> Option<String> {
    match key {
        "name" => text(&site.name),
        "hub_site" => plain(site.hub_site),
        _ => None,
    }
}

pub(super) fn link_value(link: &SiteLink, key: &str) -> Option<String> {
    match key {
        "name" => text(&link.name),
        "sites" => texts(&link.sites),
        "cost" => plain(link.cost),
        "message_size_max" => link.message_bytes_max.and_then(|bytes| text(bytes_text(bytes))),
        _ => None,
    }
}

pub(super) fn server_value(server: &Server, key: &str) -> Option<String> {
    match key {
        "name" => text(&server.name),
        "site" => text(server.site.as_ref()?),
        "address" => text(&server.address),
        "public_name" => text(&server.public_name),
        "public_addresses" => texts(&server.public_addresses),
        _ => None,
    }
}
