//! `[[virtual_address]]` as it is written.

use super::{plain, text, texts};
use crate::unit::duration_text;
use crate::virtual_address::VirtualAddress;

pub(super) fn virtual_address_value(of: &VirtualAddress, key: &str) -> Option<String> {
    match key {
        "name" => text(&of.name),
        "address" => texts(&of.addresses),
        "interface" => text(&of.interface),
        "servers" => texts(of.servers.as_ref()?),
        "failback" => plain(of.failback),
        "needs" => texts(of.needs.as_ref()?),
        "lease" => text(duration_text(of.lease_ms)),
        "announce_count" => plain(of.announce_count),
        "announce_interval" => text(duration_text(of.announce_interval_ms)),
        _ => None,
    }
}
