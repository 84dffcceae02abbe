//! A zone as a file that any name server reads (RFC 1035 5).
//!
//! Always holds: what is answered is a record, what is not is a comment with its reason; names are whole, with their final dot.

use crate::contents::{Contents, Set};
use directory::zone::{Timers, Zone};
use std::fmt::Write;

/// The text. `serial` is the version that its SOA says; `about` becomes a comment at its head.
pub fn zone_file(contents: &Contents, serial: u32, about: &str) -> String {
    let Zone { name, ttl_s, timers, .. } = &*contents.zone;
    let Timers { refresh_s, retry_s, expire_s, negative_ttl_s } = timers;
    let mut out = String::new();
    for line in about.lines() {
        let _ = writeln!(out, "; {line}"); // writing to a String cannot fail
    }
    let primary = contents.zone.name_servers.first().map_or("", |name| name);
    let contact = responsible(&contents.zone);
    let _ = writeln!(out, "$ORIGIN {name}.\n$TTL {ttl_s}");
    let _ = writeln!(
        out,
        "{name}. IN SOA {primary}. {contact} ( {serial} {refresh_s} {retry_s} {expire_s} {negative_ttl_s} ) ; serial refresh retry expire negative"
    );
    contents.sets.iter().for_each(|set| write_set(&mut out, set));
    out
}

fn write_set(out: &mut String, set: &Set) {
    let Set { name, kind, ttl_s, records, all_down } = set;
    if *all_down {
        let _ = writeln!(out, "; all that {name} {} hangs on is down: all of it is given", kind.word());
    }
    for record in records {
        let mark = if record.stands { "" } else { "; not now: " };
        let why = if record.stands { String::new() } else { format!(" ; {}", record.why) };
        let _ = writeln!(out, "{mark}{name}. {ttl_s} IN {} {}{why}", kind.word(), record.data);
    }
}

/// The contact as a name (RFC 1035 3.3.13): a dot stands in the place of the `@`, those before it are escaped.
pub fn responsible(zone: &Zone) -> String {
    let mut out = String::new();
    for byte in zone.contact.local().bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'+' | b'=' => out.push(char::from(byte)),
            b'!'..=b'~' => out.extend(['\\', char::from(byte)]),
            _ => {
                let _ = write!(out, "\\{byte:03}");
            }
        }
    }
    out + "." + &zone.contact.domain().to_ascii_lowercase() + "."
}
