//! HTTP/1.1 (RFC 9112): one GET, whose status decides. The rest of the answer is read until the server closes, so that no reset meets it.

use super::super::target::Target;
use super::super::verdict::Verdict;
use super::Effect;
use super::lines::Lines;

/// The dialog.
pub struct Http {
    request: String,
    good: (u16, u16),
    lines: Lines,
    state: State,
    body_bytes: usize,
}

#[derive(Clone, Debug)]
enum State {
    /// The status line comes next.
    Status,
    /// The fields of an interim answer (100, 103); behind them comes a status line.
    Interim,
    /// What comes does not matter any more.
    Rest(Verdict),
}

/// Bytes of an answer that are read for the sake of a clean end.
const BODY_BYTES_MAX: usize = 32 << 10;

impl Http {
    pub fn new(target: &Target) -> Http {
        let check = &target.http;
        let host = check.host.as_ref().or(target.server_name.as_ref());
        let host = host.map_or_else(|| target.address.to_string(), |host| host.to_string());
        let path = &check.path;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: posthouse-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        Http { request, good: check.status, lines: Lines::default(), state: State::Status, body_bytes: 0 }
    }

    pub fn begin(&mut self) -> Effect {
        Effect::say(&self.request)
    }

    pub fn receive(&mut self, mut bytes: &[u8]) -> Effect {
        loop {
            if let State::Rest(found) = &self.state {
                self.body_bytes += bytes.len();
                return if self.body_bytes > BODY_BYTES_MAX { Effect::over(found.clone()) } else { Effect::read() };
            }
            let line = match self.lines.next(&mut bytes) {
                Ok(None) => return Effect::read(),
                Ok(Some(line)) => line,
                Err(_) => return Effect::failed("not HTTP: a line without end"),
            };
            self.state = match (&self.state, status(&line)) {
                (State::Interim, _) if !line.is_empty() => State::Interim,
                (State::Interim, _) => State::Status,
                (_, Some(100..=199)) => State::Interim,
                (_, Some(status)) if (self.good.0..=self.good.1).contains(&status) => State::Rest(Verdict::Ready),
                (_, Some(_)) => State::Rest(Verdict::failed(&line)),
                (_, None) => return Effect::failed(&format!("not HTTP: {line}")),
            };
        }
    }

    /// What was found already, and where the dialog is.
    pub fn end(&self) -> (Option<Verdict>, &'static str) {
        let found = if let State::Rest(found) = &self.state { Some(found.clone()) } else { None };
        (found, "the answer to GET")
    }
}

/// The status of a status line.
fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.")?;
    let digits = rest.get(2..5)?;
    (rest.as_bytes().get(1) == Some(&b' ')).then(|| digits.parse().ok()).flatten()
}
