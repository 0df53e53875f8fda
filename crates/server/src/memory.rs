//! What large pieces of work took goes back to the system.

#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the C library's allocator is told by a C function")
)]

/// Has pieces of 4 MiB and more mapped by themselves, which gives them back as soon as they are freed, whatever thread does
/// it. Left alone, glibc takes the first one that is freed for a sign of more: from then on as much stays with each of its
/// arenas, of which there are eight a processor (mallopt(3), `M_MMAP_THRESHOLD`). A password takes 19 MiB, so whoever tries
/// some decides how much that is. Elsewhere than with glibc this does nothing.
///
/// For the beginning of a program: what is there already stays as it is.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        for (setting, bytes) in [(libc::M_MMAP_THRESHOLD, 4 << 20), (libc::M_TRIM_THRESHOLD, 8 << 20)] {
            // SAFETY: it takes any two numbers.
            if unsafe { libc::mallopt(setting, bytes) } == 0 {
                tracing::debug!(setting, bytes, "the allocator stays as it is");
            }
        }
    }
}
