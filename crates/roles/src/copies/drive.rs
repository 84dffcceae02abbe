//! Owns the work on the holder's end of a copy's link: on a thread of its own, because each turn of it works with the disk.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use journal::copies::HeldLink;

use super::Shop;
use super::moves::{send_out, take_in};
use crate::peers::Channel;

/// Wakes this thread from wherever something happens to the link.
pub fn wake_of_this_thread() -> Arc<dyn Fn() + Send + Sync> {
    let me = thread::current();
    Arc::new(move || me.unpark())
}

/// Works until the channel, the end or the node is over; says why, for people.
pub fn drive(shop: &Shop, end: &HeldLink, channel: &Channel) -> String {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut unsent = None;
    loop {
        let turned = take_in(end, channel, &mut cx).and_then(|read| {
            let worked = end.pump();
            Ok(send_out(end, channel, &mut cx, &mut unsent)? | worked | read)
        });
        match turned {
            Err(why) => return why,
            Ok(true) => continue,
            Ok(false) => {}
        }
        if end.is_over() {
            return String::from("there is a newer link, or the copy is closed");
        }
        if shop.is_stopping() {
            return String::from("the node is going down");
        }
        thread::park_timeout(REST_MAX);
    }
}

/// Wakes a thread as tasks are woken.
pub struct Unpark(pub Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// A thread looks around at least so often: whether the node stops, whether its link was replaced.
const REST_MAX: Duration = Duration::from_millis(200);
