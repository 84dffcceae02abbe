//! Numbers in decimal, written where a formatter would cost more than the rest of the line. Knows no protocol.

use alloc::vec::Vec;

/// Appends `value` in decimal, without leading zeros.
pub fn write(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut rest = value;
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn it_writes_what_to_string_does() {
        for value in [0, 7, 10, 65_535, u64::MAX] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
