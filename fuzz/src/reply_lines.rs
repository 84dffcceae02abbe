//! The form of what a server says (RFC 5321 4.2): whole lines, codes, one code per reply, nothing that breaks a line.

/// Checks a server's output and counts its replies.
pub fn check(output: &[u8]) -> usize {
    let mut replies = 0;
    let mut open: Option<&[u8]> = None;
    assert!(output.is_empty() || output.ends_with(b"\r\n"), "half a line: {}", output.escape_ascii());
    for line in output.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("a bare LF in {}", line.escape_ascii()));
        assert!(text.len() >= 4, "a short line: {}", line.escape_ascii());
        assert!(text.iter().all(|byte| !byte.is_ascii_control()), "a control in {}", line.escape_ascii());
        let (code, separator) = (&text[..3], text[3]);
        assert!(matches!(code[0], b'2'..=b'5') && code[1..].iter().all(u8::is_ascii_digit), "{}", line.escape_ascii());
        assert!(open.is_none_or(|open| open == code), "two codes in one reply: {}", output.escape_ascii());
        match separator {
            b'-' => open = Some(code),
            b' ' => {
                open = None;
                replies += 1;
            }
            _ => panic!("no separator in {}", line.escape_ascii()),
        }
    }
    assert!(open.is_none(), "a reply without its last line");
    replies
}
