//! How far people who judge the same thing, independently of each other, come to the same.

/// Two scores that are nearer to each other than this are the same: a quarter of the way from 0 to 1.
const SAME: f64 = 0.25;

/// How far those who judged agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// What two or more have judged.
    pub units: usize,
    /// The share of pairs of judgements of one unit that are the same, from 0 to 1: nearer than a quarter.
    pub share: f64,
    /// Krippendorff's α with the interval metric: 1 where all agree, 0 where they might as well have guessed, below 0 where
    /// they agree less than by chance. Absent where all judgements of all units are the same, for then chance says the same.
    ///
    /// α = 1 − Dₒ / Dₑ. Dₒ is the mean squared difference of two judgements of one unit, Dₑ that of any two judgements, where
    /// each unit of m judgements counts 1 / (m − 1) a pair (Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011,
    /// sections C and D).
    pub alpha: Option<f64>,
}

impl Agreement {
    /// Of units, each with its judgements. What fewer than two have judged does not count; nothing where that is all.
    #[must_use]
    pub fn of<'a>(units: impl IntoIterator<Item = &'a [f64]>) -> Option<Self> {
        let units: Vec<&[f64]> = units.into_iter().filter(|unit| unit.len() > 1).collect();
        let all: Vec<f64> = units.concat();
        let count = all.len() as f64;
        let within: f64 = units.iter().map(|unit| spread(unit) / (unit.len() - 1) as f64).sum();
        let observed = within / count;
        let expected = spread(&all) / (count * (count - 1.0));
        let (mut pairs, mut same) = (0usize, 0usize);
        for unit in &units {
            for (n, one) in unit.iter().enumerate() {
                for other in &unit[n + 1..] {
                    pairs += 1;
                    same += usize::from((one - other).abs() < SAME);
                }
            }
        }
        // What is left of equal numbers is no difference.
        let alpha = (expected > 1e-9).then(|| 1.0 - observed / expected);
        (pairs > 0).then(|| Self { units: units.len(), share: same as f64 / pairs as f64, alpha })
    }
}

/// The sum of the squared differences of all ordered pairs.
fn spread(values: &[f64]) -> f64 {
    let (sum, squares) =
        values.iter().fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value));
    // Rounding may leave less than nothing.
    (2.0 * (values.len() as f64 * squares - sum * sum)).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(units: &[Vec<f64>]) -> Option<Agreement> {
        Agreement::of(units.iter().map(Vec::as_slice))
    }

    #[test]
    fn the_published_example_comes_to_what_was_published() {
        // Four observers, twelve units, some missing: interval α is 0.849 (Krippendorff 2011, section C).
        let observers: [[Option<u8>; 12]; 4] = {
            let n = None;
            let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(Some);
            [
                [a, b, c, c, b, a, d, a, b, n, n, n],
                [a, b, c, c, b, b, d, a, b, e, n, c],
                [n, c, c, c, b, c, d, b, b, e, a, n],
                [a, b, c, c, b, d, d, a, b, e, a, n],
            ]
        };
        let unit = |at: usize| observers.iter().filter_map(|one| one[at].map(f64::from)).collect();
        let units: Vec<Vec<f64>> = (0..12).map(unit).collect();
        let agreement = of(&units).unwrap();
        assert_eq!(agreement.units, 11);
        assert!((agreement.alpha.unwrap() - 0.849).abs() < 0.0005, "{agreement:?}");
        assert!((agreement.share - 43.0 / 55.0).abs() < 1e-9, "{agreement:?}");
    }

    #[test]
    fn what_one_has_judged_says_nothing() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[vec![1.0], vec![]]), None);
        let all_the_same = of(&[vec![1.0, 1.0], vec![1.0, 1.0, 1.0], vec![0.0]]).unwrap();
        assert_eq!(all_the_same, Agreement { units: 2, share: 1.0, alpha: None });
        let apart = of(&[vec![0.0, 1.0], vec![1.0, 0.0]]).unwrap();
        assert_eq!((apart.share, apart.alpha.unwrap() < 0.0), (0.0, true));
        assert_eq!(of(&[vec![0.0, 0.0], vec![1.0, 1.0]]).unwrap().alpha, Some(1.0));
    }

    proptest! {
        #[test]
        fn it_is_a_share_at_most_one_and_the_same_in_any_order(
            mut units in prop::collection::vec(prop::collection::vec(0.0f64..=1.0, 0..5), 0..20),
        ) {
            let before = of(&units);
            if let Some(Agreement { share, alpha, .. }) = before {
                prop_assert!((0.0..=1.0).contains(&share));
                prop_assert!(alpha.is_none_or(|alpha| alpha <= 1.0 + 1e-9));
            }
            units.reverse();
            units.iter_mut().for_each(|unit| unit.reverse());
            let after = of(&units);
            prop_assert_eq!(before.map(|one| (one.units, one.share)), after.map(|one| (one.units, one.share)));
            let alphas = (before.and_then(|one| one.alpha), after.and_then(|one| one.alpha));
            if let (Some(before), Some(after)) = alphas {
                prop_assert!((before - after).abs() < 1e-6);
            }
        }
    }
}
