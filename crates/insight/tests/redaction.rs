//! The made-up calls that `cargo xtask eval insight` measures redaction on, a few of each kind.

#[path = "../examples/words/cases.rs"]
mod cases;

use cases::{Random, Turn, with_secrets, without_secrets};

#[test]
fn of_a_hundred_secrets_one_is_left_at_most() {
    let calls = with_secrets(&mut Random(1), 50);
    let left: Vec<String> = calls
        .iter()
        .filter(|call| call.is_left(&call.redacted()))
        .map(|call| {
            format!("{}: {}", call.group, call.turns.iter().map(Turn::text).collect::<Vec<_>>().join(" | "))
        })
        .collect();
    assert!(left.len() * 100 <= calls.len(), "{} of {}\n{}", left.len(), calls.len(), left.join("\n"));
}

#[test]
fn what_is_no_secret_stays() {
    let calls = without_secrets(&mut Random(2), 500);
    let missing = calls.iter().filter(|call| call.is_missing(&call.redacted())).count();
    assert!(missing * 100 <= calls.len(), "{missing} of {}", calls.len());
}
