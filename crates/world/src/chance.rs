//! Owns randomness. Knows nothing of what it is used for.
//! Always holds: the real one is fit for keys and identifiers; the simulated one repeats with its seed.

/// Where random numbers come from.
pub trait Chance: Send + Sync + 'static {
    /// Fills `buf` with random bytes.
    fn fill(&self, buf: &mut [u8]);

    /// A random number of 64 bits.
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random number in `0..n`, without bias; 0 when `n` is 0.
    fn below(&self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Numbers from the last, incomplete run of n would favour small results.
        let fair = u64::MAX - u64::MAX % n;
        loop {
            let x = self.u64();
            if x < fair {
                return x % n;
            }
        }
    }
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealChance;

impl Chance for RealChance {
    fn fill(&self, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            match rustix::rand::getrandom(&mut buf[done..], rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                // Identifiers and keys cannot be made without it, and Linux promises it after boot.
                Err(error) => panic!("getrandom failed: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_stays_below_and_varies() {
        assert_eq!(RealChance.below(0), 0);
        assert_eq!(RealChance.below(1), 0);
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| RealChance.below(3)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_ne!(RealChance.u64(), RealChance.u64());
    }
}
