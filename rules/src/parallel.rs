//! The same work on many things, on several cores. What comes out does not depend on how many there are.

use std::panic::resume_unwind;
use std::thread;

/// Below this, to start threads costs more than they save.
const WORTHWHILE: usize = 1_000;

/// More threads than this have little left to share out beside what is done by one.
const MOST: usize = 4;

/// What each thing becomes, in the order of the things. The threads end with the call.
pub(crate) fn map<T: Sync, R: Send>(things: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST));
    if things.len() < WORTHWHILE || threads == 1 {
        return things.iter().map(each).collect();
    }
    let each = &each;
    let mut shares = things.chunks(things.len().div_ceil(threads));
    let own = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> =
            shares.map(|share| scope.spawn(move || share.iter().map(each).collect::<Vec<_>>())).collect();
        let mut all = Vec::with_capacity(things.len());
        all.extend(own.iter().map(each));
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_out_in_order_whatever_the_number() {
        for count in [0, 1, WORTHWHILE - 1, WORTHWHILE, WORTHWHILE + 1, 5 * WORTHWHILE + 3] {
            let things: Vec<usize> = (0..count).collect();
            assert_eq!(
                map(&things, |thing| thing * 2),
                (0..count).map(|thing| thing * 2).collect::<Vec<_>>()
            );
        }
    }
}
