//! What comes in. Every byte of it is a stranger's until the connection has proved otherwise.

use crate::channel::Channel;
use crate::cut::Cut;
use crate::frame::{Head, Item, KIND_MAX, Kind};
use crate::machine::{Event, FIRST_CREDIT, Mux, Side};

impl Mux {
    /// Takes bytes as they came, cut anywhere. After an error the connection is of no use any more.
    pub fn receive(&mut self, now_us: u64, mut input: &[u8]) -> Result<(), Cut> {
        if input.is_empty() || self.heard_bye {
            return Ok(());
        }
        self.pulse.heard(now_us);
        self.counts.in_bytes += input.len() as u64;
        while !input.is_empty() {
            match self.reader.next(&mut input)? {
                Some(Item::Data { head, part, last }) => self.data(head, part, last)?,
                Some(Item::Control(head)) => self.controlled(head, now_us)?,
                None => {}
            }
            if self.heard_bye {
                return Ok(());
            }
            if self.control.len() > CONTROL_WAITING_MAX {
                return Err(Cut::Flood);
            }
        }
        Ok(())
    }

    fn data(&mut self, head: Head, part: &[u8], last: bool) -> Result<(), Cut> {
        if !self.heard_hello {
            return Err(Cut::Hello);
        }
        self.must_be_known(head.channel)?;
        // What was under way when a channel ended here is of no use to anybody.
        let Some(channel) = self.channels.get_mut(&head.channel) else { return Ok(()) };
        if channel.has_ended() {
            return Err(Cut::AfterEnd(head.channel));
        }
        if part.len() as u64 > channel.grant {
            return Err(Cut::OverCredit(head.channel));
        }
        channel.keep(part, head.length);
        if last && head.end {
            channel.ended();
        }
        if channel.reader_waits && (channel.unread_bytes() > 0 || channel.has_ended()) {
            channel.reader_waits = false;
            self.events.push_back(Event::Readable(head.channel));
        }
        self.drop_if_done(head.channel);
        Ok(())
    }

    fn controlled(&mut self, head: Head, now_us: u64) -> Result<(), Cut> {
        if (head.kind == Kind::Hello) == self.heard_hello {
            return Err(Cut::Hello);
        }
        match head.kind {
            Kind::Hello => {
                self.heard_hello = true;
                self.events.push_back(Event::Hello(self.reader.payload().to_vec()));
            }
            Kind::Open => self.opened(head.channel)?,
            Kind::Credit => self.credited(head.channel)?,
            Kind::Reset => self.was_reset(head.channel)?,
            Kind::Ping => self.pong = Some(self.number()),
            Kind::Pong => self.pulse.answered(self.number(), now_us),
            Kind::Bye => {
                self.heard_bye = true;
                self.events.push_back(Event::Bye(self.text()));
            }
            Kind::Data => {}
        }
        Ok(())
    }

    fn opened(&mut self, number: u32) -> Result<(), Cut> {
        let theirs_are_odd = u32::from(self.settings.side == Side::Answerer);
        if number % 2 != theirs_are_odd || number <= self.newest_theirs {
            return Err(Cut::Number(number));
        }
        self.newest_theirs = number;
        let (credit, kind, name) = self.open_payload().ok_or(Cut::Garbage("an opening that cannot be read"))?;
        if self.count(theirs_are_odd) >= self.settings.channels_max {
            self.say_reset(number, "too many channels are open");
            return Ok(());
        }
        // Nobody has asked for a window yet: what the protocol grants is the window, until somebody accepts.
        let channel = Channel::new(FIRST_CREDIT, FIRST_CREDIT, credit, self.settings.queue_max);
        self.channels.insert(number, channel);
        self.events.push_back(Event::Opened { channel: number, kind, name });
        Ok(())
    }

    fn open_payload(&self) -> Option<(u32, String, String)> {
        let (credit, rest) = self.reader.payload().split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first()?;
        let length = usize::from(*length);
        if length == 0 || length > KIND_MAX {
            return None;
        }
        let (kind, name) = rest.split_at_checked(length)?;
        let plain = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok()?;
            (!text.contains(char::is_control)).then(|| text.to_string())
        };
        Some((u32::from_le_bytes(*credit), plain(kind)?, plain(name)?))
    }

    fn credited(&mut self, number: u32) -> Result<(), Cut> {
        self.must_be_known(number)?;
        let more = self.reader.payload().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if let Some(channel) = self.channels.get_mut(&number) {
            if !channel.add_credit(more) {
                return Err(Cut::Garbage("credit without measure"));
            }
            self.stand_in_line(number);
        }
        Ok(())
    }

    fn was_reset(&mut self, number: u32) -> Result<(), Cut> {
        self.must_be_known(number)?;
        let why = self.text();
        if let Some(channel) = self.channels.get_mut(&number) {
            if channel.orphan {
                self.channels.remove(&number);
            } else if channel.reset.is_none() {
                channel.reset = Some(if why.is_empty() { "the other end ended the channel".into() } else { why });
                self.events.push_back(Event::Over(number));
            }
        }
        Ok(())
    }

    /// A number that neither end has opened yet cannot be used.
    fn must_be_known(&self, number: u32) -> Result<(), Cut> {
        let ours = number % 2 == u32::from(self.settings.side == Side::Dialer);
        let newest = if ours { self.newest_ours } else { self.newest_theirs };
        if number > newest { Err(Cut::Number(number)) } else { Ok(()) }
    }

    fn drop_if_done(&mut self, number: u32) {
        if self.channels.get(&number).is_some_and(|channel| channel.orphan && channel.is_done()) {
            self.channels.remove(&number);
        }
    }

    fn number(&self) -> u64 {
        self.reader.payload().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Words of the other end, fit to be shown.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.reader.payload());
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// Frames that we owe and the other end does not fetch; more than both ends' channels together can be the cause of.
const CONTROL_WAITING_MAX: usize = 1_024;
