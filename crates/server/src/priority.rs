//! What runs beside calls takes what they leave.

use tokio::sync::oneshot;

/// Lowers this thread's priority by so much (`nice`, 0 to 19). On Linux it is the thread's own, and that of the processes
/// it starts. `who` is named where that is refused, and nothing else comes of it.
pub(crate) fn lower(by: i32, who: &str) {
    if let Err(error) = rustix::process::nice(by) {
        tracing::debug!(%error, "{who} keeps its priority");
    }
}

/// Has something done on a thread of its own, at a priority lowered by so much; what is waited for is its result, which does not
/// come where it panicked.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    by: i32,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<oneshot::Receiver<T>> {
    let (done, result) = oneshot::channel();
    let thread = move || {
        lower(by, name);
        // Nobody waits any more when it took too long.
        let _ = done.send(work());
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(thread)?;
    Ok(result)
}
