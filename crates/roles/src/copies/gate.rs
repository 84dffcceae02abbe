//! Owns the first words of an owner whose journal was taken over: he is let in again only under a higher epoch than the taker's.

use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use journal::copies::{Decoder, Message, refuse};

use super::Shop;
use super::drive::Unpark;
use crate::peers::Channel;

/// Waits for the first frame. Gives what was read if its owner may come in; otherwise he has been refused, or has gone.
pub fn admitted(shop: &Shop, channel: &Channel, taken_epoch: u32) -> Option<Vec<u8>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let (mut decoder, mut read) = (Decoder::default(), Vec::new());
    for _ in 0..LOOKS_MAX {
        match channel.poll_receive(&mut cx) {
            Poll::Ready(Ok(Some(bytes))) => {
                decoder.push(&bytes);
                read.extend_from_slice(&bytes);
                let Some(frame) = decoder.next_frame().ok()? else { continue };
                if matches!(&frame.message, Message::Hello(hello) if hello.epoch > taken_epoch) {
                    return Some(read);
                }
                let answer = refuse(&frame, taken_epoch)?.encode();
                // He asks again if he does not hear it.
                let _ = channel.poll_send_parts(&mut cx, &[IoSlice::new(&answer)]);
                let _ = channel.finish();
            }
            Poll::Ready(Ok(None) | Err(_)) => return None,
            Poll::Pending => {
                if shop.is_stopping() {
                    return None;
                }
                thread::park_timeout(LOOK);
            }
        }
    }
    None
}

/// An owner says his first words within two seconds, and hears the answer in as many.
const LOOKS_MAX: usize = 100;
const LOOK: Duration = Duration::from_millis(20);
