//! From what the document says to what goes over the wire.
//!
//! Always holds: names of the document are good names of the wire (its reader has checked them).

use crate::contents::{Contents, Set};
use crate::file::responsible;
use crate::name::Name;
use crate::record::{self, Kind, RecordSet, Soa};
use directory::zone::{Caa, Data, Srv, Tlsa, TsigAlgorithm, TsigKey, Zone};

/// A name of the document. Of what is no name, the root.
pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap_or_else(|_| Name::root())
}

/// What a record says.
pub fn data(data: &Data) -> record::Data {
    match data {
        Data::A(address) => record::Data::address((*address).into()),
        Data::Aaaa(address) => record::Data::address((*address).into()),
        Data::Cname(target) => record::Data::name(Kind::CNAME, &name(target)),
        Data::Ns(target) => record::Data::name(Kind::NS, &name(target)),
        Data::Ptr(target) => record::Data::name(Kind::PTR, &name(target)),
        Data::Mx(preference, host) => record::Data::mx(*preference, &name(host)),
        Data::Srv(Srv { priority, weight, port, target }) => {
            record::Data::srv(*priority, *weight, *port, &name(target))
        }
        Data::Txt(bytes) => record::Data::strings(Kind::TXT, Data::strings(bytes)),
        Data::Tlsa(Tlsa { usage, selector, matching, data }) => {
            record::Data::octets_of(Kind::TLSA, [&[*usage, *selector, *matching][..], data].concat())
        }
        Data::Caa(Caa { flags, tag, value }) => {
            let head = [*flags, tag.len() as u8];
            record::Data::octets_of(Kind::CAA, [&head[..], tag.as_bytes(), value.as_bytes()].concat())
        }
    }
}

/// What is answered of a set.
pub fn record_set(set: &Set) -> RecordSet {
    RecordSet {
        owner: name(&set.name),
        kind: Kind(set.kind.number()),
        ttl_s: set.ttl_s,
        data: set.standing().map(data).collect(),
    }
}

/// All that is answered of a zone; a set without records (the addresses of a family that nobody healthy has) is left out.
pub fn record_sets(contents: &Contents) -> Vec<RecordSet> {
    contents.sets.iter().map(record_set).filter(|set| !set.data.is_empty()).collect()
}

/// The start of a zone.
pub fn soa(zone: &Zone, serial: u32) -> Soa {
    Soa {
        primary: name(zone.name_servers.first().map_or("", |server| server)),
        responsible: name(&responsible(zone)),
        serial,
        refresh_s: zone.timers.refresh_s,
        retry_s: zone.timers.retry_s,
        expire_s: zone.timers.expire_s,
        negative_s: zone.timers.negative_ttl_s,
    }
}

/// A key as signatures need it.
pub fn key(key: &TsigKey) -> crate::tsig::Key {
    let algorithm = match key.algorithm {
        TsigAlgorithm::Sha256 => crate::tsig::Algorithm::Sha256,
        TsigAlgorithm::Sha384 => crate::tsig::Algorithm::Sha384,
        TsigAlgorithm::Sha512 => crate::tsig::Algorithm::Sha512,
    };
    crate::tsig::Key::new(name(&key.name), algorithm, &key.secret)
}
