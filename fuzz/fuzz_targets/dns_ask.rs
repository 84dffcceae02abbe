//! Answers of name servers of others: read or refused, never more in memory than the message can hold; what is read can be asked about.
#![no_main]

use dns::ask::{Answer, Section};
use dns::name::Name;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(answer) = Answer::read(input) else { return };
    // Twelve octets of header, and eleven at least for each record.
    assert!(answer.records.len() * 11 + 12 <= input.len());
    let mut octets = 0;
    for record in &answer.records {
        octets += record.data.octets().len();
        let owner = Name::parse(&record.owner.to_string());
        assert!(owner.is_ok_and(|owner| owner == record.owner), "{} is written as it is read", record.owner);
        let asked = answer.data(&record.owner, record.data.kind());
        assert!(record.section != Section::Answer || asked.contains(&record.data));
        assert!(answer.ttl_s(&record.owner, record.data.kind()).is_none_or(|ttl_s| record.section != Section::Answer || ttl_s <= record.ttl_s));
    }
    // A name that is compressed takes two octets and becomes 255; a record has two of them at most.
    assert!(octets <= input.len() + answer.records.len() * 512);
    if let Some((_, servers)) = answer.referral() {
        assert!(servers.len() <= answer.records.len());
    }
    let _ = answer.word();
});
