//! Waiting for a store many times at once.

use std::io;
use std::sync::Mutex;
use std::thread::{Builder, ScopedJoinHandle};

use stage::{Error, Result};

/// How many wait at the same time.
const AT_ONCE: usize = 16;

/// Does `work` on every item, several at a time; gives the results in the items' order.
///
/// # Errors
/// The first one; work that hasn't begun by then isn't done. [`Io`](stage::Fault::Io) where not
/// even one thread can be started.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let queue = Mutex::new(items.iter().enumerate());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let worker = || -> Result<Vec<(usize, R)>> {
        let mut done = Vec::new();
        while let Some((place, item)) = next() {
            match work(item) {
                Ok(result) => done.push((place, result)),
                Err(error) => {
                    while next().is_some() {}
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let ended: Vec<Result<_>> = std::thread::scope(|scope| {
        let start = |_| Builder::new().spawn_scoped(scope, worker);
        let workers: Vec<_> = (0..AT_ONCE.min(items.len())).map(start).collect();
        let alone = workers.iter().all(io::Result::is_err);
        let join = |worker: io::Result<ScopedJoinHandle<'_, _>>| match worker {
            Ok(worker) => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) if alone => Err(Error::thread(&error)),
            // The others do its work.
            Err(_) => Ok(Vec::new()),
        };
        workers.into_iter().map(join).collect()
    });
    let mut done: Vec<(usize, R)> =
        ended.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&items, |item| Ok(item * 2)).unwrap()[999], 1998);
        assert!(each(&items[..0], |_| Ok(())).unwrap().is_empty());
        let error = each(&items, |item| if *item == 40 { Err(Error::io("40")) } else { Ok(()) });
        assert_eq!(error.unwrap_err().to_string(), "40");
    }
}
