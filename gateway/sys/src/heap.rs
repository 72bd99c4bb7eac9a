//! The live heap: bytes that the program has allocated and not freed.
//!
//! Resident memory does not say it, because allocators keep what they were given back. Counting costs an addition to a number of the thread's
//! own; a thread tells the total when the two are 4 KiB apart, and when it ends. So the total is exact but for 4 KiB of each running thread.

use crossbeam_utils::CachePadded;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// What a thread may keep to itself.
const UNTOLD_BYTES_MAX: i64 = 4 << 10;
/// Of a thread that has not counted anything yet, and of one that is about to end: so far out that the slow path looks at them.
const NEW: i64 = i64::MIN / 2;
const ENDING: i64 = i64::MAX / 2;
/// Threads that allocate much at once should not meet in one cache line.
const TOTALS: usize = 8;

/// One of them may be negative: what a thread of it freed, another's had allocated.
static TOTAL: [CachePadded<AtomicI64>; TOTALS] =
    [const { CachePadded::new(AtomicI64::new(0)) }; TOTALS];

thread_local! {
    /// Allocated less freed since the total was told.
    static UNTOLD: Cell<i64> = const { Cell::new(NEW) };
    static FAREWELL: Farewell = const { Farewell };
}

/// Tells the rest at a thread's end.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        UNTOLD.with(|untold| add(untold, untold.replace(ENDING)));
    }
}

/// An allocator whose live bytes are counted; for `#[global_allocator]`. Sizes are those asked for: what the allocator rounds up is not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted<A>(pub A);

/// Live bytes of [`Counted`] allocators; 0 if the program has none.
pub fn live_bytes() -> u64 {
    let sum: i64 = TOTAL.iter().map(|total| total.load(Relaxed)).sum();
    // Threads that have yet to tell what they allocated may have told what they freed.
    sum.max(0).unsigned_abs()
}

/// Live bytes of libraries in C, which have the C library's allocator (SQLite, librdkafka); none: it is not GNU's, and does not say.
pub fn live_bytes_in_c() -> Option<u64> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes no pointers; it locks what it reads.
        let info = unsafe { libc::mallinfo2() };
        Some((info.uordblks + info.hblkhd) as u64)
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

#[inline]
fn count(bytes: i64) {
    UNTOLD.with(|untold| {
        let sum = untold.get().wrapping_add(bytes);
        if sum.unsigned_abs() <= UNTOLD_BYTES_MAX.unsigned_abs() {
            untold.set(sum);
        } else {
            tell(untold, bytes);
        }
    });
}

#[cold]
#[inline(never)]
fn tell(untold: &Cell<i64>, bytes: i64) {
    match untold.get() {
        ENDING => add(untold, bytes),
        NEW => {
            untold.set(0);
            // Its first use is what makes the thread drop it at its end.
            let _ = FAREWELL.try_with(|_| ());
            add(untold, bytes);
        }
        before => {
            untold.set(0);
            add(untold, before.wrapping_add(bytes));
        }
    }
}

fn add(untold: &Cell<i64>, bytes: i64) {
    // Stacks, which thread-local values are beside, are so many pages apart that this spreads them.
    let page = std::ptr::from_ref(untold).addr() >> 12;
    TOTAL[page % TOTALS].fetch_add(bytes, Relaxed);
}

/// No block is larger than `isize::MAX`.
fn signed(bytes: usize) -> i64 {
    bytes as i64
}

// SAFETY: every call goes to `A`, which keeps the trait's promises, with what the caller has promised; counting neither unwinds nor allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            count(signed(layout.size()));
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if !block.is_null() {
            count(signed(layout.size()));
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { self.0.dealloc(block, layout) };
        count(-signed(layout.size()));
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        let moved = unsafe { self.0.realloc(block, layout, bytes) };
        if !moved.is_null() {
            count(signed(bytes) - signed(layout.size()));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;
    use std::sync::mpsc;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::thread;

    const HEAP: Counted<System> = Counted(System);

    /// Tests share the total.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block, as an address so that it can go to another thread.
    struct Block {
        address: *mut u8,
        layout: Layout,
    }

    // SAFETY: it is the only owner of the block, and the allocator takes blocks back on any thread.
    unsafe impl Send for Block {}

    impl Block {
        fn new(bytes: usize) -> Self {
            let layout = Layout::from_size_align(bytes, 8).unwrap();
            // SAFETY: no test asks for an empty block.
            let address = unsafe { HEAP.alloc(layout) };
            assert!(!address.is_null());
            Self { address, layout }
        }

        fn resize(self, bytes: usize) -> Self {
            // SAFETY: `new` or `resize` allocated it with this layout; no test asks for an empty block.
            let address = unsafe { HEAP.realloc(self.address, self.layout, bytes) };
            assert!(!address.is_null());
            Self { address, layout: Layout::from_size_align(bytes, 8).unwrap() }
        }

        fn free(self) {
            // SAFETY: `new` or `resize` allocated it with this layout, and it is gone with `self`.
            unsafe { HEAP.dealloc(self.address, self.layout) };
        }
    }

    /// Runs something on a thread, whose end tells the rest.
    fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(work).join().unwrap()
    }

    /// The total of all threads that have ended.
    fn total() -> i64 {
        TOTAL.iter().map(|total| total.load(Relaxed)).sum()
    }

    #[test]
    fn sizes_add_up_and_go_to_nothing() {
        let _alone = alone();
        let before = total();
        let block = on_a_thread(|| Block::new(100));
        assert_eq!(total() - before, 100);
        let block = on_a_thread(|| block.resize(70_000));
        assert_eq!(total() - before, 70_000);
        let block = on_a_thread(|| block.resize(10));
        assert_eq!(total() - before, 10);
        on_a_thread(|| block.free());
        assert_eq!(total(), before);
    }

    #[test]
    fn zeroed_blocks_are_zero_and_counted() {
        let _alone = alone();
        let before = total();
        let block = on_a_thread(|| {
            let layout = Layout::from_size_align(64, 8).unwrap();
            // SAFETY: the layout is not empty.
            let address = unsafe { HEAP.alloc_zeroed(layout) };
            // SAFETY: the block has as many bytes, all written.
            let bytes = unsafe { std::slice::from_raw_parts(address, 64) };
            assert_eq!(bytes, [0; 64]);
            Block { address, layout }
        });
        assert_eq!(total() - before, 64);
        on_a_thread(|| block.free());
        assert_eq!(total(), before);
    }

    #[test]
    fn a_running_thread_keeps_at_most_4_kib_to_itself() {
        let _alone = alone();
        let before = total();
        on_a_thread(move || {
            let mut blocks = Vec::new();
            for count in 1..=3_000 {
                blocks.push(Block::new(10));
                let untold = count * 10 - (total() - before);
                assert!((0..=UNTOLD_BYTES_MAX).contains(&untold), "{untold}");
            }
            let large = Block::new(UNTOLD_BYTES_MAX as usize + 1);
            assert!(total() - before > 30_000 - UNTOLD_BYTES_MAX);
            large.free();
            blocks.into_iter().for_each(Block::free);
            assert!((total() - before).abs() <= UNTOLD_BYTES_MAX);
        });
        assert_eq!(total(), before);
    }

    #[test]
    fn what_one_thread_allocates_another_may_free() {
        let _alone = alone();
        let before = total();
        let (sender, receiver) = mpsc::channel();
        let rounds = if cfg!(miri) { 40 } else { 20_000 };
        let makers: Vec<_> = (0..3)
            .map(|maker| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for round in 0..rounds {
                        sender.send(Block::new(1 + (round * 37 + maker) % 9_000)).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        on_a_thread(move || receiver.into_iter().for_each(Block::free));
        makers.into_iter().for_each(|maker| maker.join().unwrap());
        assert_eq!(total(), before);
    }

    #[test]
    fn values_dropped_at_a_threads_end_are_counted() {
        struct Holder(Cell<Option<Block>>);
        impl Drop for Holder {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(Block::free);
            }
        }
        thread_local! {
            static HELD: Holder = const { Holder(Cell::new(None)) };
        }
        let _alone = alone();
        let before = total();
        // Used in either order, one of them is dropped first.
        on_a_thread(|| HELD.with(|held| held.0.set(Some(Block::new(50)))));
        on_a_thread(|| {
            let block = Block::new(50);
            HELD.with(|held| held.0.set(Some(block)));
        });
        assert_eq!(total(), before);
    }

    #[test]
    #[cfg(all(target_env = "gnu", not(miri)))]
    fn what_libraries_in_c_have_is_seen() {
        let before = live_bytes_in_c().unwrap();
        // SAFETY: takes no pointers.
        let block = unsafe { libc::malloc(64 << 20) };
        assert!(!block.is_null());
        let held = live_bytes_in_c().unwrap();
        // SAFETY: allocated above, and not used after.
        unsafe { libc::free(block) };
        // Other tests allocate and free meanwhile.
        assert!(held > before + (32 << 20), "{before}, then {held}");
        assert!(live_bytes_in_c().unwrap() < held - (32 << 20));
    }
}
