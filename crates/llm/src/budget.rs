//! How many tokens may be spent in a day.

use std::collections::BTreeMap;

use crate::Purpose;

/// Tokens a day: of all purposes together, and of each. Driven by the number of the day, so that it needs no clock.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    whole: Option<u64>,
    each: BTreeMap<Purpose, u64>,
    day: u64,
    spent: BTreeMap<Purpose, u64>,
}

/// What was spent of tokens on a day, or is set aside: what has to outlive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The number of the day since 1970 (UTC).
    pub day: u64,
    /// By purpose.
    pub tokens: BTreeMap<Purpose, u64>,
}

/// Tokens that are set aside for a question that goes on. Where it is never settled they stay spent: nobody knows what
/// it cost.
#[derive(Debug)]
#[must_use]
pub struct Reserved {
    purpose: Purpose,
    tokens: u64,
    day: u64,
}

impl Budget {
    /// So many tokens a day, and of a purpose no more than what `each` says; 0 and what is not named have no limit.
    #[must_use]
    pub fn new(per_day: u64, each: &BTreeMap<Purpose, u64>) -> Self {
        let each = each.iter().filter(|(_, most)| **most > 0).map(|(purpose, most)| (*purpose, *most));
        Self { whole: (per_day > 0).then_some(per_day), each: each.collect(), ..Self::default() }
    }

    /// Sets tokens aside on a day (days since any beginning); none where that is more than is left.
    pub fn reserve(&mut self, purpose: Purpose, tokens: u64, day: u64) -> Option<Reserved> {
        self.turn_to(day);
        // A server says what it likes of what a question cost: sums stay at the largest number.
        let is_over =
            |limit: Option<u64>, spent: u64| limit.is_some_and(|most| spent.saturating_add(tokens) > most);
        let own = self.spent.get(&purpose).copied().unwrap_or_default();
        let whole = self.spent.values().copied().fold(0, u64::saturating_add);
        if is_over(self.whole, whole) || is_over(self.each.get(&purpose).copied(), own) {
            return None;
        }
        self.spent.insert(purpose, own.saturating_add(tokens));
        Some(Reserved { purpose, tokens, day: self.day })
    }

    /// Says what a question came to in the end.
    pub fn settle(&mut self, reserved: Reserved, used: u64) {
        // What was set aside yesterday is yesterday's.
        if reserved.day == self.day {
            let spent = self.spent.entry(reserved.purpose).or_default();
            *spent = spent.saturating_sub(reserved.tokens).saturating_add(used);
        }
    }

    /// What was spent on a day, or is set aside, by purpose.
    pub fn spent(&mut self, day: u64) -> &BTreeMap<Purpose, u64> {
        self.turn_to(day);
        &self.spent
    }

    /// Counts what was spent before this budget was made, unless that was on an earlier day.
    pub fn resume(&mut self, spent: &Spent) {
        self.turn_to(spent.day);
        if spent.day == self.day {
            for (purpose, tokens) in &spent.tokens {
                let known = self.spent.entry(*purpose).or_default();
                *known = known.saturating_add(*tokens);
            }
        }
    }

    /// What was spent by now on the last day that was asked for.
    #[must_use]
    pub fn newest(&self) -> Spent {
        Spent { day: self.day, tokens: self.spent.clone() }
    }

    fn turn_to(&mut self, day: u64) {
        // A clock that is set back gives nothing back.
        if day > self.day {
            self.day = day;
            self.spent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_spent_is_spent_until_the_next_day() {
        let mut budget = Budget::new(100, &BTreeMap::from([(Purpose::Check, 30), (Purpose::Answer, 0)]));
        assert!(budget.reserve(Purpose::Check, 31, 5).is_none());
        let reserved = budget.reserve(Purpose::Check, 30, 5).unwrap();
        assert!(budget.reserve(Purpose::Check, 1, 5).is_none());
        budget.settle(reserved, 10);
        let unsettled = budget.reserve(Purpose::Answer, 90, 5).unwrap();
        assert!(budget.reserve(Purpose::Check, 1, 5).is_none(), "the purpose has some left, the day has not");
        assert!(
            budget.reserve(Purpose::Check, 1, 4).is_none(),
            "a clock that is set back gives nothing back"
        );
        assert!(budget.reserve(Purpose::Answer, 100, 6).is_some());
        budget.settle(unsettled, 1_000);
        assert_eq!(budget.spent(6), &BTreeMap::from([(Purpose::Answer, 100)]));
    }

    #[test]
    fn a_restart_gives_nothing_back() {
        let mut before = Budget::new(100, &BTreeMap::from([(Purpose::Check, 30)]));
        let reserved = before.reserve(Purpose::Check, 20, 5).unwrap();
        before.settle(reserved, 25);
        let spent = before.newest();
        assert_eq!(spent, Spent { day: 5, tokens: BTreeMap::from([(Purpose::Check, 25)]) });
        let mut after = Budget::new(100, &BTreeMap::from([(Purpose::Check, 30)]));
        after.resume(&spent);
        assert!(
            after.reserve(Purpose::Check, 6, 5).is_none() && after.reserve(Purpose::Check, 5, 5).is_some()
        );
        // Yesterday's is not today's.
        after.resume(&Spent { day: 4, ..spent.clone() });
        assert_eq!(after.spent(5), &BTreeMap::from([(Purpose::Check, 30)]));
        assert!(after.reserve(Purpose::Check, 30, 6).is_some());
    }

    #[test]
    fn a_server_that_says_it_took_everything_gives_nothing_back() {
        let mut budget = Budget::new(100, &BTreeMap::new());
        let [first, second] = [Purpose::Check, Purpose::Answer].map(|one| budget.reserve(one, 1, 5).unwrap());
        budget.settle(first, u64::MAX);
        budget.settle(second, u64::MAX);
        assert!(budget.reserve(Purpose::Answer, 1, 5).is_none());
        let mut unlimited = Budget::default();
        let all = unlimited.reserve(Purpose::Answer, u64::MAX, 5).unwrap();
        assert!(unlimited.reserve(Purpose::Answer, 1, 5).is_some());
        unlimited.settle(all, 0);
    }

    proptest! {
        #[test]
        fn no_more_is_spent_than_may_be(
            questions in proptest::collection::vec((any::<bool>(), 0u64..60, 0u64..60, 0u64..4), 0..60),
        ) {
            let mut budget = Budget::new(100, &BTreeMap::from([(Purpose::Check, 40)]));
            let mut day = 0;
            for (is_check, tokens, used, days) in questions {
                day += days;
                let purpose = if is_check { Purpose::Check } else { Purpose::Answer };
                if let Some(reserved) = budget.reserve(purpose, tokens, day) {
                    budget.settle(reserved, used.min(tokens));
                }
                let spent = budget.spent(day);
                prop_assert!(spent.values().sum::<u64>() <= 100);
                prop_assert!(spent.get(&Purpose::Check).copied().unwrap_or_default() <= 40);
            }
        }
    }
}
