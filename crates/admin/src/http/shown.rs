//! How values stand on the page: numbers, sizes, times, and what is said of members, virtual addresses and zones.

use roles::view::{Service, ServiceMember, VirtualAddress, Zone, ZoneSecondary, Zones};

/// `1234567` as `1,234,567`.
pub fn grouped(n: &u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `2026-11-21T05:17:00.123Z` as `05:17:00`.
pub fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}

/// `1536.0` as `1.5 KiB`.
pub fn size(bytes: &f64) -> String {
    crate::units::size(*bytes as u64)
}

/// Microseconds as `1.5 ms`; nothing before the first.
pub fn ms(us: &u64) -> String {
    if *us == 0 { String::new() } else { format!("{:.1} ms", *us as f64 / 1000.0) }
}

/// A member's standing in a word or two.
pub fn standing(member: &ServiceMember) -> String {
    if member.drained { format!("drained ({})", member.standing) } else { member.standing.clone() }
}

/// Its colour.
pub fn mood(member: &ServiceMember) -> &'static str {
    match (member.drained, member.standing.as_str()) {
        (true, _) => "warn",
        (false, "up") => "good",
        (false, "down" | "partly down") => "bad",
        (false, "unknown") => "soft",
        (false, _) => "warn",
    }
}

/// What is the matter with it.
pub fn why(member: &ServiceMember) -> String {
    let ejected = match member.ejected_for_ms {
        0 => String::new(),
        ms => format!("left alone for {} s more, its connections failed", ms.div_ceil(1000)),
    };
    let parts: Vec<&str> = [ejected.as_str(), &member.reason].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// Its connections against those of the busiest member, in percent.
pub fn share(member: &ServiceMember, service: &Service) -> u64 {
    let most = service.members.iter().map(|member| member.flow.connections).max().unwrap_or(0);
    (member.flow.connections * 100).checked_div(most).unwrap_or(0)
}

/// What this node is to a virtual address.
pub fn here(address: &VirtualAddress) -> String {
    match (&address.unfit, address.here, address.etcd_silent) {
        (_, true, _) => "has it".into(),
        (Some(why), false, _) => why.clone(),
        (None, false, true) => "etcd does not answer this node".into(),
        (None, false, false) => "would have it".into(),
    }
}

/// Its colour.
pub fn here_mood(address: &VirtualAddress) -> &'static str {
    match (&address.unfit, address.here, address.etcd_silent) {
        (_, true, _) => "good",
        (Some(_), false, _) | (_, _, true) => "warn",
        _ => "soft",
    }
}

/// Who has a virtual address.
pub fn holder(address: &VirtualAddress) -> &str {
    match (&address.holder, address.etcd_silent) {
        (Some(node), _) => node,
        (None, true) => "not known",
        (None, false) => "nobody",
    }
}

/// Its colour.
pub fn holder_mood(address: &VirtualAddress) -> &'static str {
    match (&address.holder, address.etcd_silent) {
        (Some(_), _) => "mono",
        (None, true) => "soft",
        (None, false) => "bad",
    }
}

/// The secondaries of a zone that this node answers for: those of whom something was heard, then the others of the document.
pub fn secondaries(zones: &Zones, zone: &Zone) -> Vec<ZoneSecondary> {
    let Some(served) = zones.zones.iter().find(|served| served.name == zone.name) else { return Vec::new() };
    let heard = &served.secondaries;
    let unheard = zone.secondaries.iter().filter(|address| heard.iter().all(|of| of.address != **address));
    let unheard = unheard.map(|address| ZoneSecondary { address: address.clone(), ..ZoneSecondary::default() });
    heard.iter().cloned().chain(unheard).collect()
}

/// What is known of a secondary.
pub fn secondary(of: &ZoneSecondary) -> String {
    match (&of.serial, &of.copied, &of.deaf) {
        (_, _, Some(why)) => format!("did not hear of the last change: {why}"),
        (Some(serial), Some(copied), None) => format!("copied serial {serial} at {}", clock(copied)),
        _ => "has not copied it since this node was started".into(),
    }
}
