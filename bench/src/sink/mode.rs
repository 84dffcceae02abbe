//! How the sink behaves, as a word that can be changed while it runs.

use std::fmt;
use std::str::FromStr;

/// The sink's behaviour towards new commands; messages already in an answer's delay are not affected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Takes everything.
    Accept,
    /// 421 at the greeting and to MAIL, then closes.
    Refuse421,
    /// Never answers after the dot.
    HangAfterData,
    /// 451 to RCPT.
    TempFail,
    /// 451 after the dot.
    TempFailAfterData,
    /// 550 to RCPT.
    Reject,
    /// Answers after the dot so many milliseconds late.
    Slow(u64),
    /// Closes after the dot without an answer, with this probability.
    DropAfterDot(f64),
    /// Takes connections and says nothing at all.
    Mute,
}

impl Mode {
    /// The next one in SIGUSR1's round.
    #[must_use]
    pub fn next(self) -> Mode {
        match self {
            Mode::Accept => Mode::Refuse421,
            Mode::Refuse421 => Mode::HangAfterData,
            Mode::HangAfterData => Mode::TempFail,
            Mode::TempFail => Mode::Slow(200),
            Mode::Slow(_) => Mode::DropAfterDot(0.5),
            _ => Mode::Accept,
        }
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Mode, String> {
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or("accept");
        let number =
            words.next().map(str::parse::<f64>).transpose().map_err(|_| format!("mode {text:?}: bad number"))?;
        match word {
            "accept" => Ok(Mode::Accept),
            "refuse421" => Ok(Mode::Refuse421),
            "hang-after-data" => Ok(Mode::HangAfterData),
            "tempfail" => Ok(Mode::TempFail),
            "tempfail-after-data" => Ok(Mode::TempFailAfterData),
            "reject" => Ok(Mode::Reject),
            "slow" => Ok(Mode::Slow(number.unwrap_or(200.0).max(0.0) as u64)),
            "drop-after-dot" => Ok(Mode::DropAfterDot(number.unwrap_or(1.0))),
            "mute" => Ok(Mode::Mute),
            _ => Err(format!("unknown mode {word:?}")),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Accept => to.write_str("accept"),
            Mode::Refuse421 => to.write_str("refuse421"),
            Mode::HangAfterData => to.write_str("hang-after-data"),
            Mode::TempFail => to.write_str("tempfail"),
            Mode::TempFailAfterData => to.write_str("tempfail-after-data"),
            Mode::Reject => to.write_str("reject"),
            Mode::Slow(ms) => write!(to, "slow {ms}"),
            Mode::DropAfterDot(share) => write!(to, "drop-after-dot {share}"),
            Mode::Mute => to.write_str("mute"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_reads_back_as_it_is_written() {
        for word in [
            "accept",
            "refuse421",
            "hang-after-data",
            "tempfail",
            "tempfail-after-data",
            "reject",
            "slow 50",
            "drop-after-dot 0.25",
            "mute",
        ] {
            assert_eq!(word.parse::<Mode>().expect("known").to_string(), word);
        }
        assert!("sulk".parse::<Mode>().is_err());
        assert!("slow much".parse::<Mode>().is_err());
    }
}
