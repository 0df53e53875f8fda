//! What runs beside calls takes what they leave.

/// Lowers this thread's priority by so much (`nice`, 0 to 19). On Linux it is the thread's own, and that of the processes
/// it starts. `who` is named where that is refused, and nothing else comes of it.
pub(crate) fn lower(by: i32, who: &str) {
    if let Err(error) = rustix::process::nice(by) {
        tracing::debug!(%error, "{who} keeps its priority");
    }
}
