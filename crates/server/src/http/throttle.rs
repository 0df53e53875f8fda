//! How often somebody may try a password, or ask for what takes work.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Attempts that are allowed at once, and how long it takes for one more to be allowed.
#[derive(Clone, Copy, Debug)]
struct Limit {
    burst: f64,
    seconds_each: f64,
}

/// One name tried from one place. An attacker runs out of these first, so that they cannot lock the owner of
/// the name out everywhere.
const PAIR: Limit = Limit { burst: 6.0, seconds_each: 30.0 };
/// All names tried from one place; a whole office may sit behind it.
const PLACE: Limit = Limit { burst: 40.0, seconds_each: 5.0 };
/// One name tried from everywhere.
const NAME: Limit = Limit { burst: 60.0, seconds_each: 10.0 };
/// What somebody who is known asks for, each of which takes a core for some tens of milliseconds.
const WORK: Limit = Limit { burst: 30.0, seconds_each: 1.0 };

/// Names and places that are remembered.
const REMEMBERED: usize = 20_000;
/// Bytes of a name that tell it from others here.
const NAME_BYTES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Pair(String, IpAddr),
    Place(IpAddr),
    Name(String),
    Known(String),
}

impl Who {
    fn limit(&self) -> Limit {
        match self {
            Self::Pair(..) => PAIR,
            Self::Place(_) => PLACE,
            Self::Name(_) => NAME,
            Self::Known(_) => WORK,
        }
    }
}

/// Attempts used up, as of a time.
#[derive(Clone, Copy, Debug)]
struct Used {
    attempts: f64,
    at_ms: u64,
}

impl Used {
    fn now(self, limit: Limit, now_ms: u64) -> f64 {
        let seconds = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        (self.attempts - seconds / limit.seconds_each).max(0.0)
    }
}

/// Counts attempts to sign in, per name, per place and per both, and work for those who have, in bounded memory.
#[derive(Debug, Default)]
pub struct Throttle {
    used: Mutex<HashMap<Who, Used>>,
}

impl Throttle {
    /// Takes one attempt. Attempts are paid before they are made, so that many at once are no way around this.
    ///
    /// # Errors
    /// Seconds after which to try again.
    pub fn attempt(&self, name: &str, place: IpAddr, now_ms: u64) -> Result<(), u64> {
        self.take(&keys(name, place), now_ms)
    }

    /// Takes some work for somebody who is known, by what tells them from others.
    ///
    /// # Errors
    /// Seconds after which to ask again.
    pub fn work(&self, id: &str, now_ms: u64) -> Result<(), u64> {
        self.take(&[Who::Known(limited(id))], now_ms)
    }

    fn take(&self, all: &[Who], now_ms: u64) -> Result<(), u64> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait: f64 = 0.0;
        for who in all {
            let limit = who.limit();
            let so_far = used.get(who).map_or(0.0, |used| used.now(limit, now_ms));
            wait = wait.max((so_far + 1.0 - limit.burst) * limit.seconds_each);
        }
        if wait > 0.0 {
            return Err(wait.ceil() as u64);
        }
        if used.len() + all.len() > REMEMBERED {
            make_room(&mut used, now_ms);
        }
        for who in all {
            let limit = who.limit();
            let entry = used.entry(who.clone()).or_insert(Used { attempts: 0.0, at_ms: now_ms });
            *entry = Used { attempts: entry.now(limit, now_ms) + 1.0, at_ms: now_ms };
        }
        Ok(())
    }

    /// Gives back an attempt that was right: who knows their password is not held up by those who do not.
    pub fn succeeded(&self, name: &str, place: IpAddr) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for who in keys(name, place) {
            if matches!(who, Who::Pair(..)) {
                used.remove(&who);
            } else if let Some(entry) = used.get_mut(&who) {
                entry.attempts = (entry.attempts - 1.0).max(0.0);
            }
        }
    }
}

fn keys(name: &str, place: IpAddr) -> [Who; 3] {
    let place = network(place);
    let name = limited(name);
    [Who::Pair(name.clone(), place), Who::Place(place), Who::Name(name)]
}

/// As much of a name as tells it from others here.
fn limited(name: &str) -> String {
    name.chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= NAME_BYTES).then_some(c)
        })
        .collect()
}

/// Forgets those who have nothing used up, then those who have used the least.
fn make_room(used: &mut HashMap<Who, Used>, now_ms: u64) {
    used.retain(|who, used| used.now(who.limit(), now_ms) > 0.0);
    if used.len() < REMEMBERED / 2 {
        return;
    }
    let share = |who: &Who, used: &Used| used.now(who.limit(), now_ms) / who.limit().burst;
    let mut shares: Vec<f64> = used.iter().map(|(who, used)| share(who, used)).collect();
    let (_, middle, _) = shares.select_nth_unstable_by(REMEMBERED / 4, f64::total_cmp);
    let middle = *middle;
    used.retain(|who, used| share(who, used) > middle);
}

/// Whoever has an IPv6 address usually has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn one_place_runs_out_of_attempts_and_gets_new_ones_with_time() {
        let throttle = Throttle::default();
        for _ in 0..6 {
            throttle.attempt("ada", place(1), 0).unwrap();
        }
        assert_eq!(throttle.attempt("ada", place(1), 0), Err(30));
        assert_eq!(throttle.attempt("ada", place(1), 29_000), Err(1));
        // Neither the name nor the place is shut as a whole.
        throttle.attempt("ada", place(2), 0).unwrap();
        throttle.attempt("bob", place(1), 0).unwrap();
        throttle.attempt("ada", place(1), 30_000).unwrap();
        assert!(throttle.attempt("ada", place(1), 30_000).is_err());
    }

    #[test]
    fn many_names_from_one_place_and_one_name_from_many_places_run_out_too() {
        let throttle = Throttle::default();
        let tried = (0..100).filter(|n| throttle.attempt(&format!("user{n}"), place(1), 0).is_ok()).count();
        assert_eq!(tried, 40);
        let tried = (2..200).filter(|n| throttle.attempt("ada", place(*n), 0).is_ok()).count();
        assert_eq!(tried, 60);
        let v6 = |n: u64| IpAddr::V6((0x2001_0db8_u128 << 96 | u128::from(n)).into());
        let tried = (0..100).filter(|n| throttle.attempt(&format!("other{n}"), v6(*n), 0).is_ok()).count();
        assert_eq!(tried, 40);
    }

    #[test]
    fn who_knows_the_password_is_never_held_up() {
        let throttle = Throttle::default();
        for _ in 0..1000 {
            throttle.attempt("ada", place(1), 0).unwrap();
            throttle.succeeded("ada", place(1));
        }
    }

    #[test]
    fn work_is_counted_by_who_asks_for_it() {
        let throttle = Throttle::default();
        let asked = (0..100).filter(|_| throttle.work("ada", 0).is_ok()).count();
        assert_eq!((asked, throttle.work("ada", 0)), (30, Err(1)));
        throttle.work("bob", 0).unwrap();
        throttle.work("ada", 1_000).unwrap();
        assert!(throttle.work("ada", 1_000).is_err());
        // It is no attempt to sign in.
        throttle.attempt("ada", place(1), 0).unwrap();
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let throttle = Throttle::default();
        while throttle.attempt("ada", place(1), 0).is_ok() {}
        for n in 0..3 * REMEMBERED as u32 {
            let _ = throttle.attempt(&format!("{n}{}", "x".repeat(10_000)), place(10 + n), 0);
            assert!(throttle.used.lock().unwrap().len() <= REMEMBERED);
        }
        assert!(throttle.attempt("ada", place(1), 0).is_err());
    }
}
