//! The state of one connection, and what its owner may do: open, accept, send, read, end. What comes in is in [`crate::Mux::receive`], what
//! goes out in [`crate::Mux::output`].

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::channel::{Channel, Gone, Received};
use crate::cut::Cut;
use crate::frame::{HELLO_MAX, KIND_MAX, NAME_MAX, Reader, TEXT_MAX};
use crate::pulse::Pulse;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It dialed: its channels have odd numbers.
    Dialer,
    /// It was called: its channels have even numbers.
    Answerer,
}

/// The bounds of one connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which end we are.
    pub side: Side,
    /// Microseconds between two heartbeats.
    pub heartbeat_us: u64,
    /// So many heartbeats in a row without any byte: the other end is gone.
    pub missed_max: u32,
    /// Channels that each end may have opened at a time.
    pub channels_max: usize,
    /// Bytes that may wait to be sent on one channel.
    pub queue_max: usize,
}

/// What happened; asked for with [`Mux::poll_event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other end has introduced itself.
    Hello(Vec<u8>),
    /// It opened a channel: accept, or reset.
    Opened {
        /// Its number.
        channel: u32,
        /// What kind of channel.
        kind: String,
        /// Which one of that kind.
        name: String,
    },
    /// A read that found nothing would find something now.
    Readable(u32),
    /// A send that found no room would find some now.
    Writable(u32),
    /// The channel is over at once.
    Over(u32),
    /// The other end leaves, and says why.
    Bye(String),
}

/// Why a channel cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChannel {
    /// As many as may be are open.
    TooMany,
    /// All numbers of this connection were used: it must be made anew.
    UsedUp,
    /// Kind or name is empty, too long or not plain.
    BadName,
}

impl fmt::Display for NoChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoChannel::TooMany => "too many channels are open on this link",
            NoChannel::UsedUp => "this link has used all its channel numbers",
            NoChannel::BadName => "a channel needs a short name",
        })
    }
}

impl std::error::Error for NoChannel {}

/// What went over the connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that came in.
    pub in_bytes: u64,
    /// Bytes that were handed out to be written.
    pub out_bytes: u64,
}

/// Something short that goes before all data.
#[derive(Debug)]
pub(crate) enum Control {
    Hello(Vec<u8>),
    Open { channel: u32, credit: u32, kind: String, name: String },
    Reset { channel: u32, why: String },
    Ping(u64),
    Bye(String),
}

/// One end of a connection.
pub struct Mux {
    pub(crate) settings: Settings,
    pub(crate) reader: Reader,
    pub(crate) channels: HashMap<u32, Channel>,
    /// Channels that may send, in the order of their turns.
    pub(crate) line: VecDeque<u32>,
    pub(crate) control: VecDeque<Control>,
    /// The question that is to be answered; of several the last one.
    pub(crate) pong: Option<u64>,
    /// Channels on which credit is due.
    pub(crate) credits: VecDeque<u32>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) pulse: Pulse,
    pub(crate) counts: Counts,
    pub(crate) said_hello: bool,
    pub(crate) heard_hello: bool,
    pub(crate) heard_bye: bool,
    pub(crate) said_bye: bool,
    pub(crate) newest_theirs: u32,
    pub(crate) newest_ours: u32,
    pub(crate) scratch: BytesMut,
}

impl Mux {
    /// A connection that has just been made. Nothing goes out before [`Mux::introduce`].
    pub fn new(settings: Settings, now_us: u64) -> Mux {
        Mux {
            pulse: Pulse::new(now_us, settings.heartbeat_us, settings.missed_max),
            settings,
            reader: Reader::new(),
            channels: HashMap::new(),
            line: VecDeque::new(),
            control: VecDeque::new(),
            pong: None,
            credits: VecDeque::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
            said_hello: false,
            heard_hello: false,
            heard_bye: false,
            said_bye: false,
            newest_theirs: 0,
            newest_ours: 0,
            scratch: BytesMut::new(),
        }
    }

    /// Says who we are, before anything else (at most [`HELLO_MAX`] bytes count). Once.
    pub fn introduce(&mut self, mut hello: Vec<u8>) {
        hello.truncate(HELLO_MAX);
        if !std::mem::replace(&mut self.said_hello, true) {
            self.control.push_front(Control::Hello(hello));
        }
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Asks for a heartbeat if one is due, and finds out whether the other end is gone.
    pub fn tick(&mut self, now_us: u64) -> Result<(), Cut> {
        self.pulse.check(now_us)?;
        if let Some(number) = self.pulse.ask(now_us).filter(|_| self.said_hello) {
            self.control.retain(|control| !matches!(control, Control::Ping(_)));
            self.control.push_back(Control::Ping(number));
        }
        Ok(())
    }

    /// When [`Mux::tick`] has something to do next.
    pub fn due_us(&self) -> u64 {
        self.pulse.due_us()
    }

    /// Moving average of the way there and back.
    pub fn round_trip_us(&self) -> Option<u64> {
        self.pulse.round_trip_us()
    }

    /// Bytes so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Channels that are open, of both ends.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Bytes that came and were not read yet, all channels together.
    pub fn unread_bytes(&self) -> usize {
        self.channels.values().map(Channel::unread_bytes).sum()
    }

    /// Opens a channel; at most `window` bytes of it may be under way to us. Bytes may be sent at once, up to [`FIRST_CREDIT`].
    pub fn open(&mut self, kind: &str, name: &str, window: u32) -> Result<u32, NoChannel> {
        let odd = u32::from(self.settings.side == Side::Dialer);
        if kind.is_empty() || kind.len() > KIND_MAX || name.len() > NAME_MAX {
            return Err(NoChannel::BadName);
        }
        if self.count(odd) >= self.settings.channels_max {
            return Err(NoChannel::TooMany);
        }
        let number = if self.newest_ours == 0 { 2 - odd } else { self.newest_ours.wrapping_add(2) };
        if number < self.newest_ours {
            return Err(NoChannel::UsedUp);
        }
        self.newest_ours = number;
        let window = window.max(FIRST_CREDIT);
        let channel = Channel::new(window, window, FIRST_CREDIT, self.settings.queue_max);
        self.channels.insert(number, channel);
        self.control.push_back(Control::Open { channel: number, credit: window, kind: kind.into(), name: name.into() });
        Ok(number)
    }

    /// Takes a channel that the other end opened; at most `window` bytes of it may be under way to us.
    pub fn accept(&mut self, number: u32, window: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.widen(window.max(FIRST_CREDIT), FIRST_CREDIT);
            self.owe_credit(number);
        }
    }

    /// Takes as much of `bytes` as there is room for; says how much. The rest stays in `bytes`, and [`Event::Writable`] follows.
    pub fn send(&mut self, number: u32, bytes: &mut Bytes) -> Result<usize, Gone> {
        let channel = usable(&mut self.channels, number)?;
        if channel.is_finished() {
            return Err(finished());
        }
        let taken = channel.send(bytes);
        self.stand_in_line(number);
        Ok(taken)
    }

    /// Takes a whole message out of borrowed parts, or nothing of it: `false`, and [`Event::Writable`] follows. For messages whose parts
    /// cannot be given away; they are copied once.
    pub fn send_parts(&mut self, number: u32, parts: &[IoSlice<'_>]) -> Result<bool, Gone> {
        let channel = usable(&mut self.channels, number)?;
        if channel.is_finished() {
            return Err(finished());
        }
        let taken = channel.send_parts(parts, parts.iter().map(|part| part.len()).sum());
        self.stand_in_line(number);
        Ok(taken)
    }

    /// Room for bytes to send.
    pub fn room(&mut self, number: u32) -> Result<usize, Gone> {
        Ok(usable(&mut self.channels, number)?.room())
    }

    /// Nothing more will be sent; what waits still goes out.
    pub fn finish(&mut self, number: u32) -> Result<(), Gone> {
        usable(&mut self.channels, number)?.finish();
        self.stand_in_line(number);
        Ok(())
    }

    /// The next bytes of the channel. After [`Received::Nothing`], [`Event::Readable`] follows.
    pub fn read(&mut self, number: u32) -> Result<Received, Gone> {
        let received = usable(&mut self.channels, number)?.read();
        self.owe_credit(number);
        Ok(received)
    }

    /// Ends the channel at once, in both directions; the other end hears why.
    pub fn reset(&mut self, number: u32, why: &str) {
        if self.channels.remove(&number).is_some_and(|channel| !channel.is_done()) {
            self.say_reset(number, why);
        }
    }

    /// Its user here is gone. What was finished still goes out, everything else is reset.
    pub fn forget(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        match channel.ends_well() && !channel.is_done() {
            true => channel.orphan = true,
            false => self.reset(number, "dropped"),
        }
    }

    /// Says why the connection ends. Nothing goes out behind it.
    pub fn close(&mut self, why: &str) {
        if !std::mem::replace(&mut self.said_bye, true) {
            self.control.push_back(Control::Bye(short(why)));
        }
    }

    pub(crate) fn say_reset(&mut self, channel: u32, why: &str) {
        self.control.push_back(Control::Reset { channel, why: short(why) });
    }

    /// Gives a channel its place among those that may send, if it has something to send.
    pub(crate) fn stand_in_line(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number)
            && !channel.in_line
            && channel.may_send()
        {
            channel.in_line = true;
            self.line.push_back(number);
        }
    }

    pub(crate) fn owe_credit(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number)
            && !channel.owes_credit
            && channel.credit_is_due()
        {
            channel.owes_credit = true;
            self.credits.push_back(number);
        }
    }

    /// Open channels of the end whose numbers are odd or even.
    pub(crate) fn count(&self, odd: u32) -> usize {
        self.channels.keys().filter(|number| *number % 2 == odd).count()
    }
}

fn usable(channels: &mut HashMap<u32, Channel>, number: u32) -> Result<&mut Channel, Gone> {
    let channel = channels.get_mut(&number).ok_or_else(|| Gone { why: "the channel is over".into() })?;
    match &channel.reset {
        Some(why) => Err(Gone { why: why.clone() }),
        None => Ok(channel),
    }
}

fn finished() -> Gone {
    Gone { why: "this end has finished the channel".into() }
}

/// A reason as it may go over the wire.
fn short(why: &str) -> String {
    let end = (0..=why.len().min(TEXT_MAX)).rev().find(|at| why.is_char_boundary(*at)).unwrap_or(0);
    why[..end].to_string()
}

/// Bytes of a new channel that may be sent before the other end has said anything: a question goes out with its channel.
pub const FIRST_CREDIT: u32 = 16 << 10;
