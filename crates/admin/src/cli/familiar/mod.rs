//! Owns familiar verbs: `Get-Queue`, `Set-SendConnector -Identity out -Cost 20 -WhatIf`, in the words of ours before they are read.
//! Knows no node. Always holds: a familiar verb can do nothing that one of ours cannot; a parameter that is not understood is an error
//! and nothing is done.

pub mod fields;
mod filter;
mod names;
mod table;

use directory::settings::Section;

use super::client::Trouble;
use table::{Ours, Row, TABLE};

/// What a command line is, after familiar words were looked at.
pub enum Read {
    /// Ours: to be read as ever.
    Ours(Vec<String>),
    /// Something to say and nothing to do.
    Say(String),
}

/// A command line in our words.
pub fn read(arguments: Vec<String>) -> Result<Read, Trouble> {
    if let [_, help, verbs] = &arguments[..]
        && (help.as_str(), verbs.as_str()) == ("help", "verbs")
    {
        return Ok(Read::Say(help_text()));
    }
    let Some(at) = verb_place(&arguments) else { return Ok(Read::Ours(arguments)) };
    let Some(row) = TABLE.iter().find(|row| row.familiar.eq_ignore_ascii_case(&arguments[at])) else {
        return Err(Trouble::Usage(unknown(&arguments[at])));
    };
    let mut ours: Vec<String> = arguments[..at].to_vec();
    ours.extend(translated(row, &arguments[at + 1..])?);
    Ok(Read::Ours(ours))
}

/// Where a word like `Get-Queue` stands in the place of our verb.
fn verb_place(arguments: &[String]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = arguments.get(at).filter(|word| word.starts_with("--")) {
        at += if word == "--url" { 2 } else { 1 };
    }
    let (verb, noun) = arguments.get(at)?.split_once('-')?;
    let is_familiar = VERBS.iter().any(|known| known.eq_ignore_ascii_case(verb)) && !noun.is_empty();
    is_familiar.then_some(at)
}

/// A parameter: its name without the hyphen, and its value if it has one.
struct Parameter {
    name: String,
    value: Option<String>,
}

impl Parameter {
    fn needs(&self) -> Result<String, Trouble> {
        self.value.clone().ok_or_else(|| Trouble::Usage(format!("-{} needs a value", self.name)))
    }

    /// `-Confirm:$false`, `-WhatIf`.
    fn is_on(&self) -> bool {
        !self.value.as_deref().is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "$false" | "false"))
    }
}

/// `-Identity out`, `-Confirm:$false`, `-WhatIf`; what stands alone is the identity. Options with two hyphens are ours and go through.
fn parameters(words: &[String]) -> (Vec<Parameter>, Vec<String>) {
    let (mut found, mut ours) = (Vec::new(), Vec::new());
    let mut words = words.iter().peekable();
    let is_name =
        |word: &str| word.starts_with('-') && word.len() > 1 && !word[1..].starts_with(|c: char| c.is_ascii_digit());
    while let Some(word) = words.next() {
        if word.starts_with("--") {
            ours.push(word.clone());
            if !word.contains('=') && !FLAGS.contains(&word.as_str()) {
                ours.extend(words.next().cloned());
            }
        } else if let Some(name) = word.strip_prefix('-').filter(|_| is_name(word)) {
            let (name, value) = match name.split_once(':') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (name, words.next_if(|next| !is_name(next)).cloned()),
            };
            found.push(Parameter { name: name.into(), value });
        } else {
            found.push(Parameter { name: "Identity".into(), value: Some(word.clone()) });
        }
    }
    (found, ours)
}

fn translated(row: &Row, words: &[String]) -> Result<Vec<String>, Trouble> {
    let (parameters, mut ours) = parameters(words);
    let more = match row.ours {
        Ours::Fields(of) => shown(of, &parameters)?,
        Ours::Object(verb, kind) => changed(verb, kind, &parameters)?,
        Ours::Words(words) => done(words, &parameters)?,
        Ours::Alone(words) => {
            if let Some(first) = parameters.iter().find(|parameter| !is_common(parameter)) {
                return Err(not_here(row.familiar, first));
            }
            words.split(' ').map(String::from).collect()
        }
    };
    ours.splice(0..0, more);
    Ok(ours)
}

/// Those that every verb takes and that change nothing here.
fn is_common(parameter: &Parameter) -> bool {
    ["Confirm", "Verbose", "Force", "ErrorAction", "Autosize"]
        .iter()
        .any(|name| parameter.name.eq_ignore_ascii_case(name))
}

fn not_here(verb: &str, parameter: &Parameter) -> Trouble {
    Trouble::Usage(match parameter.name.to_ascii_lowercase().as_str() {
        "server" => format!(
            "{verb} asks the node at --url: for {} say --url http://ITS-ADDRESS:8025",
            parameter.value.as_deref().unwrap_or("another")
        ),
        name => format!("{verb} knows no -{name} here; posthouse help verbs shows what does it"),
    })
}

fn shown(of: &str, parameters: &[Parameter]) -> Result<Vec<String>, Trouble> {
    let mut ours = vec!["fields".to_string(), of.to_string()];
    for parameter in parameters.iter().filter(|parameter| !is_common(parameter)) {
        let mut give = |option: &str, value: String| ours.extend([option.to_string(), value]);
        match (parameter.name.to_ascii_lowercase().as_str(), of) {
            ("identity" | "messageid" | "internalmessageid", _) => {
                give("--identity", identity(of, &parameter.needs()?))
            }
            ("resultsize", _) => {
                let limit = parameter.needs()?;
                give("--limit", if limit.eq_ignore_ascii_case("unlimited") { "10000".into() } else { limit });
            }
            ("filter", _) => give("--filter", parameter.needs()?),
            ("queue", "message") => give("--queue", identity("queue", &parameter.needs()?)),
            ("sender" | "fromaddress", "message" | "trace") => give("--sender", parameter.needs()?),
            ("recipients" | "recipient", "message" | "trace") => give("--recipient", parameter.needs()?),
            ("eventid", "trace") => give("--event", parameter.needs()?.to_ascii_uppercase()),
            ("start", "trace") => give("--since", parameter.needs()?),
            ("includerecipientinfo" | "status" | "dag", _) => {}
            _ => return Err(not_here("it", parameter)),
        }
    }
    Ok(ours)
}

fn changed(verb: &str, kind: &str, parameters: &[Parameter]) -> Result<Vec<String>, Trouble> {
    let section = directory::objects::kind(kind).map_err(|error| Trouble::Usage(error.to_string()))?;
    let (mut name, mut rest) = (None, Vec::new());
    for parameter in parameters.iter().filter(|parameter| !is_common(parameter)) {
        match parameter.name.to_ascii_lowercase().as_str() {
            "identity" => name = Some(parameter.needs()?),
            "name" if verb == "new" => name = Some(parameter.needs()?),
            "domainname" if verb == "new" && kind == "accepted_domain" => name = Some(parameter.needs()?),
            "whatif" => rest.extend(parameter.is_on().then(|| "--dry-run".to_string())),
            _ if verb == "set" || verb == "new" => rest.extend(setting(section, parameter)?),
            _ => return Err(not_here("it", parameter)),
        }
    }
    let words = ["org", verb, kind].map(String::from).into_iter();
    let name = name.filter(|_| section.repeated).map(|name| identity(kind, &name));
    Ok(words.chain(name).chain(rest).collect())
}

/// `-MaxMessageSize 10MB` as `message_size_max=10MB`; `$null` goes back to the default.
fn setting(section: &'static Section, parameter: &Parameter) -> Result<Option<String>, Trouble> {
    let key = names::key(section, &parameter.name);
    if key == "enabled" && parameter.is_on() && section.setting("enabled").is_none() {
        return Ok(None);
    }
    let value = match &parameter.value {
        None => "true".to_string(),
        Some(value) if value.eq_ignore_ascii_case("$null") => return Ok(Some(format!("{key}-"))),
        Some(value) => names::value(section, &key, value).to_string(),
    };
    Ok(Some(format!("{key}={value}")))
}

fn done(words: &str, parameters: &[Parameter]) -> Result<Vec<String>, Trouble> {
    let mut ours: Vec<String> = words.split(' ').map(String::from).collect();
    let noun = ours[0].clone();
    for parameter in parameters.iter().filter(|parameter| !is_common(parameter)) {
        match parameter.name.to_ascii_lowercase().as_str() {
            "identity" => ours.push(identity(&noun, &parameter.needs()?)),
            "hostname" | "nodename" if noun == "service" => ours.push(parameter.needs()?),
            // A member that is taken out always finishes what it has.
            "drain" if words == "service drain" => {}
            "timeout" if words == "service drain" => {
                ours.extend(["--wait".to_string(), "--timeout".to_string(), parameter.needs()?]);
            }
            "withndr" if words == "message remove" => ours.extend((!parameter.is_on()).then(|| "--no-dsn".to_string())),
            "targetmachine" if words == "node drain --hand-over" => {
                ours.extend(["--to".to_string(), parameter.needs()?])
            }
            "to" | "target" if words == "message redirect" => ours.push(parameter.needs()?),
            "path" if words == "message export" => ours.extend(["--output".to_string(), parameter.needs()?]),
            "filter" => {
                let what = "name one with -Identity; posthouse message list --ids ... | xargs -n 1 goes through many";
                return Err(Trouble::Usage(what.into()));
            }
            "whatif" if parameter.is_on() => {
                return Err(Trouble::Usage(format!(
                    "posthouse {words} has no -WhatIf; only changes of the organization have"
                )));
            }
            _ => return Err(not_here("it", parameter)),
        }
    }
    Ok(ours)
}

/// `server\queue\message` is the last of them here: ids and queues are those of the node that is asked.
fn identity(of: &str, name: &str) -> String {
    match of {
        "queue" | "message" | "receive_connector" => name.rsplit('\\').next().unwrap_or(name).to_string(),
        _ => name.to_string(),
    }
}

/// What is said to a verb that nobody here knows: those with the same noun, or those that are written alike.
fn unknown(verb: &str) -> String {
    let noun = |verb: &str| verb.split_once('-').map(|(_, noun)| noun.to_ascii_lowercase()).unwrap_or_default();
    let wanted = noun(verb);
    let near = |row: &&Row| {
        let noun = noun(row.familiar);
        noun == wanted || (wanted.len() > 3 && (noun.contains(&wanted) || wanted.contains(&noun)))
    };
    let mut rows: Vec<&Row> = TABLE.iter().filter(near).collect();
    if rows.is_empty() {
        let shared = |row: &Row| {
            let (a, b) = (row.familiar.to_ascii_lowercase(), verb.to_ascii_lowercase());
            let head = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            head + a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count()
        };
        rows = TABLE.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(shared(row)));
        rows.truncate(3);
    }
    let lines: Vec<String> = rows.iter().map(|row| format!("  {:<28}{}", row.familiar, row.ours.typed())).collect();
    format!("there is no {verb} here; the nearest are\n{}\nposthouse help verbs shows all", lines.join("\n"))
}

/// `posthouse help verbs`
fn help_text() -> String {
    let mut out = String::from(
        "Familiar verbs and what does the same here. Upper and lower case are the same. Parameters: -Identity (or the name alone), -ResultSize,
-Filter 'Property -eq \"value\" -and ...', -WhatIf, -Confirm:$false, -WithNDR:$false, -Start, -Sender, -Recipients, -EventId; for New- and Set-
the settings by their familiar names (-MaxMessageSize 10MB, -AddressSpaces a.example,b.example) or ours (-MessageSizeMax), $null for
the default. Options of ours (--json, --url, --why) go with them. -Server: ask that node itself, with --url.\n\n",
    );
    for row in TABLE.iter().filter(|row| row.is_known()) {
        out += &format!("  {:<34}{}\n", row.familiar, row.ours.typed());
    }
    out
}

impl Row {
    /// This program has the kind of object that it is about.
    fn is_known(&self) -> bool {
        match self.ours {
            Ours::Fields("queue" | "message" | "trace" | "node" | "copy") | Ours::Words(_) | Ours::Alone(_) => true,
            Ours::Fields(kind) | Ours::Object(_, kind) => directory::objects::kind(kind).is_ok(),
        }
    }
}

const VERBS: [&str; 19] = [
    "Get", "Set", "New", "Remove", "Test", "Retry", "Suspend", "Resume", "Redirect", "Export", "Search", "Move",
    "Start", "Stop", "Add", "Enable", "Disable", "Update", "Restore",
];
/// Options of ours that have no value.
const FLAGS: [&str; 3] = ["--json", "--dry-run", "--long"];

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(line: &[&str]) -> Result<String, String> {
        let line = std::iter::once("posthouse").chain(line.iter().copied()).map(String::from).collect();
        match read(line) {
            Ok(Read::Ours(words)) => Ok(words[1..].join(" ")),
            Ok(Read::Say(text)) => Ok(text),
            Err(trouble) => Err(trouble.to_string()),
        }
    }

    #[test]
    fn familiar_lines_are_read_in_our_words() {
        for (line, wanted) in [
            (&["queue", "list"][..], "queue list"),
            (&["hash-password"], "hash-password"),
            (&["Get-Queue"], "fields queue"),
            (
                &["--json", "--url", "http://x", "get-queue", "mx1\\mx:out:a.test"],
                "--json --url http://x fields queue --identity mx:out:a.test",
            ),
            (
                &["Get-Message", "-Queue", "srv\\q", "-ResultSize", "unlimited"],
                "fields message --queue q --limit 10000",
            ),
            (&["Get-MessageTrackingLog", "-EventID", "send", "-Start", "2h"], "fields trace --event SEND --since 2h"),
            (&["Retry-Queue", "-Identity:smart-hosts:out", "-Confirm:$false"], "queue retry smart-hosts:out"),
            (&["Remove-Message", "01M", "-WithNDR:$false"], "message remove 01M --no-dsn"),
            (&["Remove-Message", "01M", "-WithNDR", "$true"], "message remove 01M"),
            (&["Get-ReceiveConnector", "-Identity", "mx1\\in"], "fields receive_connector --identity in"),
            (
                &[
                    "Set-ReceiveConnector",
                    "in",
                    "-MaxMessageSize",
                    "10MB",
                    "-MessageRateLimit",
                    "unlimited",
                    "-Banner",
                    "$null",
                    "-WhatIf",
                ],
                "org set receive_connector in message_size_max=10MB message_rate_per_minute=0 banner- --dry-run",
            ),
            (
                &[
                    "New-SendConnector",
                    "-Name",
                    "out",
                    "-AddressSpaces",
                    "*",
                    "-DNSRoutingEnabled",
                    "$true",
                    "--why",
                    "x",
                ],
                "org new send_connector out domains=* mx=$true --why x",
            ),
            (
                &["Set-TransportServer", "-Identity", "mx1", "-MessageExpirationTimeout", "2.00:00:00"],
                "org set retry expire_after=2.00:00:00",
            ),
            (&["Test-SmtpConnectivity"], "org test receive_connector"),
            (&["Test-ServiceHealth"], "status"),
        ] {
            let read = ours(line);
            assert!(read.as_deref().is_ok_and(|read| read.starts_with(wanted)), "{line:?}: {read:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_is_near() {
        let told = |line: &[&str]| ours(line).unwrap_err();
        assert!(told(&["Disable-SendConnector"]).contains("Set-SendConnector"), "{}", told(&["Disable-SendConnector"]));
        assert!(told(&["Get-Queues"]).contains("Get-Queue  "));
        assert!(told(&["Get-Queue", "-Server", "mx2"]).contains("--url http://ITS-ADDRESS:8025"));
        assert!(told(&["Get-Queue", "-Colour", "red"]).contains("knows no -colour"));
        assert!(told(&["Retry-Queue", "-Identity"]).contains("-Identity needs a value"));
        assert!(told(&["Test-ServiceHealth", "-Role", "x"]).contains("knows no -role"));
        let help = ours(&["help", "verbs"]).unwrap();
        assert!(help.contains("Get-ReceiveConnector") && help.contains("posthouse queue retry IDENTITY"));
    }

    #[test]
    fn each_familiar_verb_is_there_once_and_begins_with_a_known_word() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.familiar != row.familiar), "{}", row.familiar);
            let verb = row.familiar.split('-').next().unwrap_or_default();
            assert!(VERBS.contains(&verb), "{verb}");
        }
    }
}
