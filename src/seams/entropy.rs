//! Randomness: ids, markers, secrets.

use std::cell::RefCell;

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// 128 random bits.
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    /// 128 random bits as 32 lower-case hexadecimal digits: an id or secret that nobody can guess.
    fn token(&self) -> String {
        format!("{:032x}", self.bits())
    }
}

/// The operating system's random numbers, fetched for many small requests at once: in a herd each room asks for some.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

/// So many bytes are fetched at once. A request for more than one in eight of them is passed on as it is.
const POOL: usize = 1024;

thread_local! {
    /// Bytes that nobody has had yet are at the front; those that were given out are zero.
    static UNUSED: RefCell<([u8; POOL], usize)> = const { RefCell::new(([0; POOL], 0)) };
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > POOL / 8 {
            return system(bytes);
        }
        UNUSED.with_borrow_mut(|(pool, left)| {
            if *left < bytes.len() {
                system(pool);
                *left = POOL;
            }
            let (rest, given) = pool[..*left].split_at_mut(*left - bytes.len());
            bytes.copy_from_slice(given);
            given.fill(0);
            *left = rest.len();
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
#[expect(
    clippy::expect_used,
    reason = "without randomness no secret can be made: nothing safe is left to do"
)]
fn system(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_bytes_are_given_twice() {
        let mut tokens = HashSet::new();
        let mut large = [0; POOL];
        for n in 0..1000 {
            assert!(tokens.insert(SystemEntropy.token()), "{n}");
            if n % 100 == 0 {
                SystemEntropy.fill(&mut large);
                assert!(large.windows(16).all(|window| window != [0; 16]));
            }
        }
        assert!(!tokens.contains(&"0".repeat(32)));
    }
}
