//! A few receive buffers that all connections of a ring share.

use std::ptr::NonNull;

/// Bytes fetched by one receive at most.
pub(super) const SCRATCH_BYTES: usize = 4 * 1_024;

/// Buffers by number. The last one returned is the first one taken, so that a quiet ring touches,
/// and keeps in memory, only a few.
#[derive(Debug)]
pub(super) struct Scratch {
    /// `count` buffers in one allocation of ours. Not a `Box<[u8]>`: the kernel writes into some of
    /// it while we read others.
    memory: NonNull<u8>,
    count: usize,
    free: Vec<u32>,
}

impl Scratch {
    pub(super) fn new(count: u32) -> Self {
        let count = count as usize;
        let memory = Box::into_raw(vec![0u8; count * SCRATCH_BYTES].into_boxed_slice());
        let memory = NonNull::new(memory.cast()).expect("an allocation is not null");
        Self { memory, count, free: (0..count as u32).rev().collect() }
    }

    /// A buffer for the kernel to write [`SCRATCH_BYTES`] into, until it is given back.
    pub(super) fn take(&mut self) -> Option<(u32, *mut u8)> {
        let number = self.free.pop()?;
        Some((number, self.pointer(number).as_ptr()))
    }

    /// The first `length` bytes of a buffer that was taken and whose receive has completed.
    pub(super) fn bytes(&self, number: u32, length: usize) -> &[u8] {
        assert!(length <= SCRATCH_BYTES);
        let pointer = self.pointer(number).as_ptr();
        // SAFETY: within the allocation and initialised since it was made; the kernel has completed
        // the only receive that named this buffer, and the next can be asked for only through `&mut
        // self`.
        unsafe { std::slice::from_raw_parts(pointer, length) }
    }

    pub(super) fn give_back(&mut self, number: u32) {
        debug_assert!(!self.free.contains(&number));
        self.free.push(number);
    }

    /// How many have not been given back.
    pub(super) fn taken(&self) -> usize {
        self.count - self.free.len()
    }

    fn pointer(&self, number: u32) -> NonNull<u8> {
        assert!((number as usize) < self.count);
        // SAFETY: the number was just checked, so the offset stays within the allocation.
        unsafe { self.memory.add(number as usize * SCRATCH_BYTES) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let bytes = self.count * SCRATCH_BYTES;
        let memory = std::ptr::slice_from_raw_parts_mut(self.memory.as_ptr(), bytes);
        // SAFETY: this is the allocation that `new` took apart, with the same length.
        drop(unsafe { Box::from_raw(memory) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_do_not_overlap_and_come_back() {
        let mut scratch = Scratch::new(2);
        let (first, into_first) = scratch.take().unwrap();
        let (second, into_second) = scratch.take().unwrap();
        assert!(scratch.take().is_none());
        assert_eq!(into_first.addr().abs_diff(into_second.addr()), SCRATCH_BYTES);
        assert_eq!(scratch.bytes(first, SCRATCH_BYTES), [0; SCRATCH_BYTES]);
        scratch.give_back(first);
        assert_eq!(scratch.take().unwrap().0, first);
        assert_eq!(scratch.bytes(second, 0), []);
    }
}
