//! The encodings of commands: xtext, base 64, ESMTP parameters and journeys between servers read back what they wrote and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::grammar::{base64, journey, parameters, path, xtext};

fuzz_target!(|input: &[u8]| {
    let mut coded = Vec::new();
    base64::encode(input, &mut coded);
    assert_eq!(base64::decode(&coded).as_deref(), Some(input));
    if let Some(plain) = base64::decode(input) {
        let mut again = Vec::new();
        base64::encode(&plain, &mut again);
        assert_eq!(again, input, "one text for one value");
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut coded = String::new();
    xtext::encode(text, &mut coded);
    assert_eq!(xtext::decode(coded.as_bytes()).as_deref(), Some(input));
    xtext::decode(input);
    if let Some(read) = journey::parse(text) {
        let mut again = Vec::new();
        assert!(journey::fits(&read));
        journey::write(&read, &mut again);
        assert_eq!(again, input, "one text for one journey");
    }
    if let Some(path) = path::split(text) {
        assert!(text.contains(path.address) && text.ends_with(path.rest));
        for parameter in parameters::parameters(path.rest).flatten() {
            assert!(parameters::is_keyword(parameter.keyword));
            assert_ne!(parameter.value, Some(""));
        }
    }
});
