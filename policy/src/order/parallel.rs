//! The same work for each rule, on all processors.

use std::thread;

/// From how many rules on threads are worth their start.
const WORTH_IT: usize = 32;
const MOST_THREADS: usize = 8;

/// What `work` makes of the numbers below `count`, in order. It must not depend on the order in which it is done.
pub(super) fn for_each<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MOST_THREADS);
    if count < WORTH_IT || threads < 2 {
        return (0..count).map(work).collect();
    }
    let work = &work;
    // Later rules have more before them, so neighbours go to different threads.
    let share =
        move |first: usize| -> Vec<T> { (first..count).step_by(threads).map(work).collect() };
    let shares: Vec<Option<Vec<T>>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|first| thread::Builder::new().spawn_scoped(scope, move || share(first)))
            .collect();
        let own = Some(share(0));
        let others = others.into_iter().map(|thread| thread.ok()?.join().ok());
        std::iter::once(own).chain(others).collect()
    });
    // A thread that could not be started leaves its share to this one.
    let mut shares: Vec<_> = shares
        .into_iter()
        .enumerate()
        .map(|(first, done)| done.unwrap_or_else(|| share(first)).into_iter())
        .collect();
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        all.extend(shares.get_mut(number % threads).and_then(Iterator::next));
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn in_order() {
        for count in [0, 1, 31, 32, 100, 101] {
            let expected: Vec<usize> = (0..count).map(|number| number * 2).collect();
            assert_eq!(super::for_each(count, |number| number * 2), expected);
        }
    }
}
