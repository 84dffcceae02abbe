//! PROXY headers: what was read does not change with more bytes behind it, and a header lies within the input and its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::proxy::{Parsed, V2_BYTES_MAX, parse};

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    match whole {
        Parsed::Header(header) => {
            assert!(header.bytes <= input.len().min(V2_BYTES_MAX));
            for end in [0, 1, header.bytes / 2, header.bytes - 1] {
                assert_eq!(parse(&input[..end]), Parsed::Incomplete);
            }
            assert_eq!(parse(&input[..header.bytes]), whole);
        }
        Parsed::Incomplete => assert!(input.len() < V2_BYTES_MAX),
        Parsed::Bad | Parsed::NotProxy => assert_eq!(parse(&[input, b"\r\n"].concat()), whole),
    }
});
