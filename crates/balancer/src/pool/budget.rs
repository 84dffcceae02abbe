//! How many further tries a service may make: a share of its recent connections, so that a pool that is down is not asked several times as
//! often as one that works.

/// Counts of the last seconds, in two halves.
pub struct Budget {
    percent: u64,
    half: u64,
    /// First and further tries of this half and of the one before.
    now: [u64; 2],
    before: [u64; 2],
}

/// Half of what counts as recent.
const HALF_MS: u64 = 5_000;
/// Further tries in that time that are free.
const FREE: u64 = 10;

impl Budget {
    pub fn new(percent: u32) -> Budget {
        Budget { percent: u64::from(percent), half: 0, now: [0; 2], before: [0; 2] }
    }

    pub fn set_percent(&mut self, percent: u32) {
        self.percent = u64::from(percent);
    }

    pub fn first_try(&mut self, now_ms: u64) {
        self.turn(now_ms);
        self.now[0] += 1;
    }

    pub fn further_try(&mut self, now_ms: u64) {
        self.turn(now_ms);
        self.now[1] += 1;
    }

    /// One more further try may be made.
    pub fn allows(&mut self, now_ms: u64) -> bool {
        self.turn(now_ms);
        let [first, further] = [self.now[0] + self.before[0], self.now[1] + self.before[1]];
        further < FREE + first * self.percent / 100
    }

    fn turn(&mut self, now_ms: u64) {
        let half = now_ms / HALF_MS;
        if half > self.half {
            self.before = if half == self.half + 1 { self.now } else { [0; 2] };
            (self.now, self.half) = ([0; 2], half);
        }
    }
}
