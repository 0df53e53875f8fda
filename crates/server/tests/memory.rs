//! What a piece of work took goes back to the system, whichever threads did it. In a process of its own, where nothing else
//! takes memory meanwhile.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Barrier;

use sotto_server::{memory, people};

/// Bytes that this process has for itself.
fn taken() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn what_passwords_take_is_given_back_by_every_thread() {
    const THREADS: usize = 8;
    memory::give_back();
    let is_right = || people::password_is_right("a long enough password", None);
    // With the first comes what it is compared to.
    assert!(!is_right());
    let before = taken();
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                together.wait();
                assert!(!is_right());
            });
        }
    });
    let kept = taken().saturating_sub(before);
    assert!(kept < 19 << 20, "of {THREADS} times 19 MiB, {kept} bytes are still there");
}
