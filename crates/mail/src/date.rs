//! Times as mail writes them, from Unix milliseconds that somebody hands in. Always UTC: a relay has no zone of its own to tell.

use alloc::string::{String, ToString};
use core::fmt;

/// Displays Unix milliseconds as RFC 5322 3.3 wants it: `Sat, 21 Nov 2026 05:17:00 +0000`.
#[derive(Clone, Copy, Debug)]
pub struct Rfc5322(pub u64);

/// Displays Unix milliseconds as RFC 3339: `2026-11-21T05:17:00.123Z`.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub u64);

/// Appends the RFC 5322 form.
pub fn write_rfc5322(unix_ms: u64, out: &mut String) {
    out.push_str(&rfc5322(unix_ms));
}

/// The RFC 5322 form, for a `Date` field.
pub fn rfc5322(unix_ms: u64) -> String {
    Rfc5322(unix_ms).to_string()
}

/// Appends the RFC 3339 form.
pub fn write_rfc3339(unix_ms: u64, out: &mut String) {
    out.push_str(&rfc3339(unix_ms));
}

/// The RFC 3339 form with milliseconds, for logs, the trace and the API.
pub fn rfc3339(unix_ms: u64) -> String {
    Rfc3339(unix_ms).to_string()
}

/// Reads RFC 3339 (`2026-11-21T05:17:00Z`, fractions and offsets allowed, a space for the `T`) to Unix milliseconds.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let separators_fit = bytes.len() >= 20
        && (bytes[4], bytes[7], bytes[13], bytes[16]) == (b'-', b'-', b':', b':')
        && matches!(bytes[10], b'T' | b't' | b' ');
    if !separators_fit {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..10])?);
    let (hour, minute, second) = (digits(&bytes[11..13])?, digits(&bytes[14..16])?, digits(&bytes[17..19])?);
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    let (fraction_ms, zone) = fraction(&bytes[19..])?;
    let offset_s = offset(zone)?;
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    u64::try_from(seconds * 1_000 + fraction_ms).ok()
}

impl fmt::Display for Rfc5322 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = Civil::at(self.0);
        let (weekday, month) = (WEEKDAYS[t.weekday], MONTHS[t.month as usize - 1]);
        write!(f, "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} +0000", t.day, t.year, t.hour, t.minute, t.second)
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = Civil::at(self.0);
        write!(f, "{:04}-{:02}-{:02}T", t.year, t.month, t.day)?;
        write!(f, "{:02}:{:02}:{:02}.{:03}Z", t.hour, t.minute, t.second, t.ms)
    }
}

/// A moment in the proleptic Gregorian calendar, UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
    ms: u64,
}

impl Civil {
    /// Times beyond the year 9999, which RFC 3339 cannot write, are shown as its last millisecond.
    fn at(unix_ms: u64) -> Civil {
        let unix_ms = unix_ms.min(LAST_MS);
        let (days, in_day) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
        let (year, month, day) = civil_from_days(days as i64);
        Civil {
            year,
            month,
            day,
            weekday: ((days + 4) % 7) as usize,
            hour: in_day / 3_600_000,
            minute: in_day / 60_000 % 60,
            second: in_day / 1_000 % 60,
            ms: in_day % 1_000,
        }
    }
}

/// Howard Hinnant's algorithm: the year starts in March, so that the leap day is its last one.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

/// `.123456Z` to milliseconds and what stands behind them.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let end = rest.iter().position(|b| !b.is_ascii_digit())?;
    if end == 0 {
        return None;
    }
    let ms = [100, 10, 1].iter().zip(&rest[..end]).map(|(worth, digit)| worth * i64::from(digit - b'0')).sum();
    Some((ms, &rest[end..]))
}

/// `Z` or `+hh:mm` to seconds.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

const DAY_MS: u64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: u64 = 253_402_300_799_999;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let table = [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "Thu, 29 Feb 2024 23:59:59 +0000", "2024-02-29T23:59:59.999Z"),
            (1_795_238_220_123, "Sat, 21 Nov 2026 05:17:00 +0000", "2026-11-21T05:17:00.123Z"),
            (4_107_542_400_000, "Mon, 01 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59.999Z"),
        ];
        for (ms, mail, log) in table {
            assert_eq!(rfc5322(ms), mail);
            assert_eq!(rfc3339(ms), log);
            assert_eq!(parse_rfc3339(log), Some(ms.min(LAST_MS)));
        }
    }

    #[test]
    fn what_people_type() {
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_rfc3339("1970-01-01 00:00:01.5Z"), Some(1_500));
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00.123456Z"), Some(123));
        for bad in [
            "",
            "1970-01-01",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+1:00",
            "1969-12-31T23:59:59Z",
            "197é-01-01T00:00:00Z",
            "1970-01-01T00:00:00.1",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_time_comes_back(ms in 0..=LAST_MS) {
            proptest::prop_assert_eq!(parse_rfc3339(&rfc3339(ms)), Some(ms));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
