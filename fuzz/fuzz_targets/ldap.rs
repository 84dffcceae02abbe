//! What LDAP servers send, filters that operators write, and kept recipients: read or refused, and what is read is whole.
#![no_main]

use directory::ldap::{Filter, wire};
use directory::recipients::Kept;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (kind, rest) = input.split_first().unwrap_or((&0, &[]));
    match kind % 3 {
        0 => {
            if let Some((_, answer)) = wire::answer(rest) {
                let len = wire::length(rest).ok().flatten().expect("an answer has a length");
                assert_eq!(wire::answer(&rest[..len]).map(|(_, again)| again), Some(answer), "what stands behind it does not matter");
                assert_eq!(wire::answer(&rest[..len - 1]), None);
            }
        }
        1 => {
            if let Ok(filter) = Filter::parse(&String::from_utf8_lossy(rest)) {
                let search = wire::Search { base: "", below: true, filter: &filter, attributes: &[], entries_max: 0, page: None };
                let bytes = wire::search(1, &search);
                assert_eq!(wire::length(&bytes), Ok(Some(bytes.len())));
            }
        }
        _ => {
            let mut kept = [b"posthouse recipients 1\n", rest].concat();
            kept.extend_from_slice(&crc32c::crc32c(&kept).to_le_bytes());
            if let Some(known) = Kept::read(&kept, None) {
                known.iter().for_each(|one| drop((one.entry(), one.key())));
                assert_eq!(known.iter().count(), known.len());
            }
        }
    }
});
