//! One thread: waits for events, turns to the connections that they are for, takes orders, makes its rounds.
//!
//! Always holds: one connection cannot keep the thread from the others; what belongs to a connection is only touched by its thread.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::accept::{Listener, accept, accept_rest, resume};
use super::admission::Admission;
use super::conn::Conn;
use super::counts::Counts;
use super::drive;
use super::hand::Hand;
use super::here::Here;
use super::poll::{Ready, Token};
use super::rounds::{self, ROUND_MS};
use super::settings::ServiceSetup;
use super::slab::Slab;
use super::sockets::Opened;

/// What a thread is told.
pub(super) enum Order {
    /// Serve this service on these sockets, or change what is served under its name.
    Serve { setup: ServiceSetup, counts: Arc<Counts>, admission: Arc<Admission>, sockets: Vec<Opened> },
    /// Accept nothing more; connections that are there go as in a drain.
    Close { service: Arc<str> },
    /// Accept nothing more, of any service; connections that are there go on as if nothing had happened.
    Linger,
    /// Accept nothing more, of any service; at the latest after so long everything is closed.
    Drain { within_ms: u64 },
    /// These addresses leave the machine: who is between two mails there is told. The sender is dropped when that is done.
    Part { addresses: Arc<[IpAddr]>, done: mpsc::Sender<()> },
    /// Close everything and end.
    End,
}

/// Where orders wait for a thread.
pub(super) struct Inbox {
    orders: Mutex<VecDeque<Order>>,
    waker: OwnedFd,
}

impl Inbox {
    pub(super) fn new(waker: OwnedFd) -> Inbox {
        Inbox { orders: Mutex::default(), waker }
    }

    pub(super) fn give(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push_back(order);
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&self.waker, &1_u64.to_ne_bytes());
    }

    fn take(&self) -> Option<Order> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// One thread's connections and listeners.
pub(super) struct Worker {
    inbox: Arc<Inbox>,
    hand: Hand,
    conns: Slab<Conn>,
    listeners: Vec<Option<Listener>>,
    services: Vec<Rc<Here>>,
    last_round_ms: u64,
    ends: bool,
}

impl Worker {
    pub(super) fn new(inbox: Arc<Inbox>, hand: Hand) -> std::io::Result<Worker> {
        hand.poll.add_level(&inbox.waker, Token::Wake)?;
        let (conns, listeners, services) = (Slab::new(), Vec::new(), Vec::new());
        Ok(Worker { inbox, hand, conns, listeners, services, last_round_ms: 0, ends: false })
    }

    /// Works until it is told to end.
    pub(super) fn run(mut self) {
        let mut events = Vec::new();
        let mut again = Vec::new();
        while !self.ends {
            let wait_ms = self.wait_ms();
            self.hand.poll.wait(&mut events, wait_ms);
            self.hand.look_at_clock();
            for event in &events {
                self.event(Token::of(event), Ready::of(event));
            }
            std::mem::swap(&mut again, &mut self.hand.again);
            for slot in again.drain(..) {
                self.turn(slot);
            }
            if self.hand.now_ms >= self.hand.next_ms {
                self.round();
            }
        }
        for slot in 0..self.conns.end() {
            self.close(slot);
        }
    }

    /// How long nothing is to be done; `None`: until an event.
    fn wait_ms(&self) -> Option<u64> {
        if !self.hand.again.is_empty() {
            return Some(0);
        }
        if self.hand.next_ms == u64::MAX {
            return None;
        }
        // At least a moment, so that many deadlines make one round.
        Some(self.hand.next_ms.saturating_sub(self.hand.now_ms).max(ROUND_MS_MIN))
    }

    fn event(&mut self, token: Token, ready: Ready) {
        match token {
            Token::Wake => self.orders(),
            Token::Listener(number) => {
                if let Some(Some(listener)) = self.listeners.get_mut(number as usize) {
                    accept(listener, &mut self.hand, &mut self.conns);
                }
            }
            Token::Client { slot, life } => {
                if let Some(conn) = self.conns.get_life(slot, life)
                    && !drive::client_event(conn, &mut self.hand, ready)
                {
                    self.close(slot);
                }
            }
            Token::Member { slot, life, dial } => {
                let conn = self.conns.get_life(slot, life).filter(|conn| conn.dial == dial && conn.member.is_some());
                if let Some(conn) = conn
                    && !drive::member_event(conn, &mut self.hand, ready)
                {
                    self.close(slot);
                }
            }
        }
    }

    fn turn(&mut self, slot: u32) {
        let Some(conn) = self.conns.get(slot) else { return };
        if std::mem::take(&mut conn.is_again) && !drive::turn(conn, &mut self.hand) {
            self.close(slot);
        }
    }

    fn close(&mut self, slot: u32) {
        if let Some(conn) = self.conns.remove(slot) {
            conn.end(&mut self.hand);
        }
    }

    /// Looks at every connection, and at listeners that pause.
    fn round(&mut self) {
        self.last_round_ms = self.hand.now_ms;
        self.hand.next_ms = if self.conns.len() > 0 { self.hand.now_ms + ROUND_MS } else { u64::MAX };
        for slot in 0..self.conns.end() {
            let Some(conn) = self.conns.get(slot) else { continue };
            if !rounds::look(conn, &mut self.hand) {
                self.close(slot);
            }
        }
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if let Some(listener) = listener {
                resume(number as u32, listener, &mut self.hand);
            }
        }
    }

    fn orders(&mut self) {
        let mut count = [0; 8];
        // Only empties the counter.
        let _ = rustix::io::read(&self.inbox.waker, &mut count);
        while let Some(order) = self.inbox.take() {
            match order {
                Order::Serve { setup, counts, admission, sockets } => {
                    self.serve(Rc::new(Here::new(setup, counts, admission)), sockets);
                }
                Order::Close { service } => {
                    self.stop(|listener| listener.here.setup.service.name == service);
                    for here in self.services.extract_if(.., |here| here.setup.service.name == service) {
                        here.admission.close();
                    }
                }
                Order::Linger => self.stop(|_| true),
                Order::Drain { within_ms } => {
                    self.hand.drains = true;
                    self.hand.drain_within_ms = within_ms;
                    self.stop(|_| true);
                }
                Order::Part { addresses, done } => {
                    self.part(&addresses);
                    drop(done);
                }
                Order::End => self.ends = true,
            }
        }
    }

    fn part(&mut self, addresses: &[IpAddr]) {
        for slot in 0..self.conns.end() {
            let is_there = |conn: &&mut Conn| addresses.contains(&conn.destination.ip().to_canonical());
            let Some(conn) = self.conns.get(slot).filter(is_there) else { continue };
            if !rounds::part(conn, &mut self.hand) {
                self.close(slot);
            }
        }
    }

    fn serve(&mut self, here: Rc<Here>, sockets: Vec<Opened>) {
        let same = |other: &Rc<Here>| other.setup.service.name == here.setup.service.name;
        let gone = |listener: &Listener| same(&listener.here) && !here.setup.service.listen.contains(&listener.asked);
        self.stop(gone);
        for listener in self.listeners.iter_mut().flatten().filter(|listener| same(&listener.here)) {
            listener.here = Rc::clone(&here);
        }
        for Opened { asked, address, socket } in sockets {
            let free = self.listeners.iter().position(Option::is_none).unwrap_or(self.listeners.len());
            if free == self.listeners.len() {
                self.listeners.push(None);
            }
            if let Err(error) = self.hand.poll.add_level(&socket, Token::Listener(free as u32)) {
                tracing::error!(service = %here.setup.service.name, %address, %error, "this thread cannot accept here");
                continue;
            }
            self.listeners[free] = Some(Listener { here: Rc::clone(&here), asked, address, socket, paused_ms: None });
        }
        self.services.retain(|other| !same(other));
        self.services.push(here);
    }

    /// Accepts what the kernel has accepted already, then nothing more.
    fn stop(&mut self, which: impl Fn(&Listener) -> bool) {
        for number in 0..self.listeners.len() {
            if let Some(mut listener) = self.listeners[number].take_if(|listener| which(listener)) {
                self.hand.poll.remove(&listener.socket);
                accept_rest(&mut listener, &mut self.hand, &mut self.conns);
            }
        }
        self.hand.wake_by(self.hand.now_ms);
    }
}

/// The least time between two rounds.
const ROUND_MS_MIN: u64 = 10;
