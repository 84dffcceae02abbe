//! Owns the work on the owner's end of a copy's link: a task beside that of the connection. What is written goes from the journal's
//! writer to the socket, and what is acknowledged from the socket to who waits for it, and no other thread is woken on either way.
//! Always holds: what needs the disk (a copy that has to catch up) is done on a thread that may block.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use journal::copies::Link;
use tokio::task::{coop, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::Shop;
use super::moves::{send_out, take_in};
use crate::peers::Channel;

/// What a journal rings when there is something to do for a link.
#[derive(Default)]
pub struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Calls the task, now or when it listens next.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if let Some(waker) = self.waker().take() {
            waker.wake();
        }
    }

    /// Whether it was rung since the last time; if not, the task is called when it is.
    fn was_rung(&self, cx: &Context<'_>) -> bool {
        *self.waker() = Some(cx.waker().clone());
        self.rung.swap(false, Ordering::SeqCst)
    }

    fn waker(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works until the channel, the link or the node is over; says why, for people.
pub async fn carry(shop: &Shop, link: Arc<Link>, bell: &Bell, channel: &Channel) -> String {
    let mut unsent = None;
    let mut alarm = pin!(sleep(Duration::ZERO));
    loop {
        // Only a panic fails it, and that ends the process.
        let worked = link.is_behind() && {
            let link = link.clone();
            spawn_blocking(move || link.pump()).await.unwrap_or(false)
        };
        let now_ms = shop.world.clock.mono_ms();
        if link.next_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            link.tick();
        }
        let Some(due_ms) = link.next_due_ms() else {
            return String::from("the other end will not have this copy, or there is a newer link");
        };
        if shop.is_stopping() {
            return String::from("the node is going down");
        }
        let rest_ms = due_ms.saturating_sub(now_ms).min(REST_MS_MAX);
        alarm.as_mut().reset(Instant::now() + Duration::from_millis(rest_ms));
        let turn = poll_fn(|cx| {
            let rung = bell.was_rung(cx);
            let moved =
                take_in(&*link, channel, cx).and_then(|read| Ok(send_out(&*link, channel, cx, &mut unsent)? | read));
            match moved {
                Err(why) => Poll::Ready(Err(why)),
                Ok(moved) if moved || rung || worked => Poll::Ready(Ok(())),
                Ok(_) => alarm.as_mut().poll(cx).map(Ok),
            }
        });
        if let Err(why) = turn.await {
            return why;
        }
        // However much there is to carry, others have their turn.
        coop::consume_budget().await;
    }
}

/// A task looks around at least so often: whether the node stops.
const REST_MS_MAX: u64 = 200;
