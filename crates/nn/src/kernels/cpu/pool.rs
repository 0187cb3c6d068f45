//! Host buffers and their reuse.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One cache line; buffers are made of them so that they are aligned to 64 bytes.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// Memory for `f32` values, aligned to 64 bytes.
pub(crate) struct HostBuffer(Vec<Line>);

impl HostBuffer {
    pub(crate) fn values(&self) -> &[f32] {
        bytemuck::must_cast_slice(&self.0)
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        bytemuck::must_cast_slice_mut(&mut self.0)
    }
}

/// Buffers waiting for reuse, by size. Steps of one shape allocate only the first time, which
/// keeps page faults out of training.
#[derive(Default)]
pub(crate) struct Pool(Mutex<BTreeMap<usize, Vec<HostBuffer>>>);

impl Pool {
    /// A buffer of at least `len` values with unspecified contents.
    pub(crate) fn take(&self, len: usize) -> HostBuffer {
        let lines = size_class(len.div_ceil(LINE));
        let pooled = self.lock().get_mut(&lines).and_then(Vec::pop);
        pooled.unwrap_or_else(|| HostBuffer(vec![Line([0.0; LINE]); lines]))
    }

    pub(crate) fn put(&self, buffer: HostBuffer) {
        self.lock().entry(buffer.0.len()).or_default().push(buffer);
    }

    /// Working memory for one kernel.
    pub(crate) fn scratch(&self, len: usize) -> Scratch<'_> {
        Scratch { pool: self, buffer: Some(self.take(len)), len }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<HostBuffer>>> {
        // The map is whole between any two statements, so a panic elsewhere cannot spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounds up to one of eight sizes per doubling, so that lengths that vary a little from step to
/// step share buffers and at most an eighth is wasted.
fn size_class(lines: usize) -> usize {
    let step = (lines.next_power_of_two() / 16).max(1);
    lines.next_multiple_of(step).max(1)
}

/// A pooled slice that returns on drop; contents are unspecified at first.
pub(crate) struct Scratch<'p> {
    pool: &'p Pool,
    buffer: Option<HostBuffer>,
    len: usize,
}

impl Deref for Scratch<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.buffer.as_ref().expect("held until drop").values()[..self.len]
    }
}

impl DerefMut for Scratch<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer.as_mut().expect("held until drop").values_mut()[..self.len]
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.pool.put(self.buffer.take().expect("held until drop"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_reused_and_aligned() {
        let pool = Pool::default();
        let first = pool.take(1000);
        let address = first.values().as_ptr();
        assert_eq!(address as usize % 64, 0);
        pool.put(first);
        assert_eq!(pool.take(1000).values().as_ptr(), address, "taken again");
    }

    #[test]
    fn size_classes_hold_and_waste_little() {
        for lines in 1..10_000 {
            let class = size_class(lines);
            assert!(class >= lines && class * 8 <= lines * 9 + 8, "{lines} -> {class}");
            assert_eq!(size_class(class), class);
        }
        assert_eq!(size_class(0), 1);
    }
}
