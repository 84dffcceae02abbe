//! `--name value` command lines. Owns reading and refusing them; knows no option's meaning.

use std::str::FromStr;

/// One option: its name without dashes, and the line `--help` prints for it.
pub type Known = (&'static str, &'static str);

/// The options that were given.
#[derive(Debug)]
pub struct Args {
    given: Vec<(String, String)>,
}

impl Args {
    /// Reads the process's arguments; prints the usage and exits on `--help` (0) and on an unknown option (64).
    pub fn of_process(program: &str, known: &[Known]) -> Args {
        match Args::read(std::env::args().skip(1), known) {
            Ok(Some(args)) => args,
            Ok(None) => {
                println!("usage: {program} --option value ...");
                for (name, help) in known {
                    println!("  --{name:<16} {help}");
                }
                std::process::exit(0)
            }
            Err(what) => refuse(program, &what),
        }
    }

    /// The value of an option, if it was given; the last one wins.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().rev();
        given.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value read as `T`, or `default` when it was not given.
    ///
    /// # Errors
    /// A line that names the option when the value cannot be read.
    pub fn value<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name}: cannot read {text:?}")),
        }
    }

    /// Whether a switch is on: given bare or with anything but `off`, `no` or `0`.
    pub fn on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| !matches!(value, "off" | "no" | "0"))
    }

    fn read(words: impl Iterator<Item = String>, known: &[Known]) -> Result<Option<Args>, String> {
        let mut given: Vec<(String, Vec<String>)> = Vec::new();
        for word in words {
            match word.strip_prefix("--") {
                Some("help") => return Ok(None),
                Some(name) if known.iter().any(|(key, _)| *key == name) => {
                    given.push((name.to_owned(), Vec::new()));
                }
                Some(name) => return Err(format!("unknown option --{name}")),
                None => match given.last_mut() {
                    Some((_, values)) => values.push(word),
                    None => return Err(format!("{word:?} belongs to no option")),
                },
            }
        }
        let given = given.into_iter().map(|(name, values)| (name, values.join(" "))).collect();
        Ok(Some(Args { given }))
    }
}

/// Prints one line and exits with 64 (EX_USAGE).
pub fn refuse(program: &str, what: &str) -> ! {
    eprintln!("{program}: {what} (see --help)");
    std::process::exit(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[("mode", ""), ("reconnect", ""), ("size", "")];

    fn read(line: &str) -> Result<Option<Args>, String> {
        Args::read(line.split(' ').map(str::to_owned), KNOWN)
    }

    #[test]
    fn values_may_have_several_words_and_switches_none() {
        let args = read("--mode slow 50 --reconnect --size 7").expect("known").expect("no help");
        assert_eq!(args.text("mode"), Some("slow 50"));
        assert!(args.on("reconnect"));
        assert_eq!(args.value("size", 1_u32), Ok(7));
        assert!(args.value("mode", 1_u32).is_err());
    }

    #[test]
    fn strangers_are_refused() {
        assert!(read("--speed 9").is_err());
        assert!(read("loose").is_err());
        assert!(!read("--reconnect off").expect("known").expect("no help").on("reconnect"));
    }
}
