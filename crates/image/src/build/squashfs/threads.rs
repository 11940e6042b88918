use std::thread;

use super::WHAT;
use crate::build::error::BuildError;

/// Threads, at most.
const THREADS_MAX: usize = 16;

/// Does the same on every processor, but on no more than there are `tasks`. Gives what each came
/// to, or of several errors that of the first task, so that everybody sees the same one.
pub(super) fn on_every_processor<T: Send>(
    tasks: usize,
    work: impl Fn() -> Result<T, (usize, BuildError)> + Sync,
) -> Result<Vec<T>, BuildError> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let threads = threads.min(THREADS_MAX).min(tasks);
    let ended = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let own = work();
        let joined = others.into_iter().map(|other| {
            other.join().unwrap_or_else(|_| {
                Err((usize::MAX, BuildError::encode(WHAT)("a thread ended early")))
            })
        });
        std::iter::once(own).chain(joined).collect::<Vec<_>>()
    });
    let (done, failed): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    let first = failed.into_iter().filter_map(Result::err);
    match first.min_by_key(|(task, _)| *task) {
        Some((_, error)) => Err(error),
        None => Ok(done.into_iter().filter_map(Result::ok).collect()),
    }
}
