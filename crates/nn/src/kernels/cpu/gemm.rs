//! Matrix products: the `gemm` crate's single-thread kernel on blocks that rayon shares out.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

/// A borrowed matrix with any strides, so that a transpose costs nothing.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows} x {cols} matrix");
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Number of rows.
    pub(crate) fn height(self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn width(self) -> usize {
        self.cols
    }

    /// Whether values of a row are neighbours, as for [`Mat::row`].
    pub(crate) fn is_row_major(self) -> bool {
        self.col_stride == 1
    }

    /// One row of a row-major matrix.
    #[inline(always)]
    pub(crate) fn row(self, row: usize) -> &'a [f32] {
        debug_assert_eq!(self.col_stride, 1, "row-major");
        &self.data[row * self.row_stride..][..self.cols]
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows);
        let start = (range.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[start..], rows: range.len(), ..self }
    }

    /// Some of the columns.
    pub(crate) fn cols(self, range: Range<usize>) -> Self {
        self.t().rows(range).t()
    }
}

/// A block of a row-major output, writable from one task while other tasks write other blocks.
pub(super) struct Block<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    output: PhantomData<&'a mut [f32]>,
}

/// The output that tasks share.
#[derive(Clone, Copy)]
struct Output {
    start: *mut f32,
    rows: usize,
    cols: usize,
}

// SAFETY: tasks reach the memory only through `Output::block`, whose callers keep blocks disjoint.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// No two live blocks may overlap, and the borrow that the output was made from must last.
    unsafe fn block<'a>(self, rows: Range<usize>, cols: Range<usize>) -> Block<'a> {
        assert!(rows.end <= self.rows && cols.end <= self.cols);
        // SAFETY: the block starts inside the output, as asserted.
        let start = unsafe { self.start.add(rows.start * self.cols + cols.start) };
        let (rows, cols, row_stride) = (rows.len(), cols.len(), self.cols);
        Block { start, rows, cols, row_stride, output: PhantomData }
    }
}

impl Block<'_> {
    /// `self = scale · a b`, or `self += scale · a b`, on this thread.
    fn product(&mut self, a: Mat<'_>, b: Mat<'_>, scale: f32, accumulate: bool) {
        assert_eq!((a.rows, a.cols, b.cols), (self.rows, b.rows, self.cols), "product shapes");
        // SAFETY: the block is writable for `rows` x `cols` at `row_stride`, and the two operands
        // are borrowed and cover their shapes (checked when they were made and narrowed).
        unsafe {
            gemm::gemm(
                self.rows,
                self.cols,
                a.cols,
                self.start,
                1,
                self.row_stride as isize,
                accumulate,
                a.data.as_ptr(),
                a.col_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr(),
                b.col_stride as isize,
                b.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }

    /// One row.
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: rows lie inside the block, which nobody else writes.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.row_stride), self.cols) }
    }
}

/// `dst = scale · a b` on this thread.
pub(crate) fn product(a: Mat<'_>, b: Mat<'_>, scale: f32, dst: &mut [f32]) {
    let (rows, cols) = (a.rows, b.cols);
    assert_eq!(dst.len(), rows * cols, "product output");
    let (start, row_stride) = (dst.as_mut_ptr(), cols);
    Block { start, rows, cols, row_stride, output: PhantomData }.product(a, b, scale, false);
}

/// `dst = a b`, in parallel.
pub(crate) fn par_product(a: Mat<'_>, b: Mat<'_>, dst: &mut [f32]) {
    par_product_then(a, b, dst, |_, _| ());
}

/// `dst += a b`, in parallel.
pub(crate) fn par_add_product(a: Mat<'_>, b: Mat<'_>, dst: &mut [f32]) {
    par_tiles(a, b, dst, |mut block, a, b, _| block.product(a, b, 1.0, true));
}

/// `dst = a b`, in parallel; then `finish(columns, part of a row)` on everything written, while
/// it is in cache.
pub(crate) fn par_product_then(
    a: Mat<'_>,
    b: Mat<'_>,
    dst: &mut [f32],
    finish: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    par_tiles(a, b, dst, |mut block, a, b, columns| {
        block.product(a, b, 1.0, false);
        for row in 0..block.rows {
            finish(columns.clone(), block.row_mut(row));
        }
    });
}

/// Runs `f(tile of dst, its rows of a, its columns of b, its columns)` over tiles that depend on
/// the shape alone.
fn par_tiles(
    a: Mat<'_>,
    b: Mat<'_>,
    dst: &mut [f32],
    f: impl Fn(Block<'_>, Mat<'_>, Mat<'_>, Range<usize>) + Sync,
) {
    let shape = (a.rows, b.cols);
    par_blocks(dst, shape, tile(shape.0, shape.1), |block, rows, cols| {
        f(block, a.rows(rows), b.cols(cols.clone()), cols);
    });
}

/// Runs `f(block of dst, its rows, its columns)` over the blocks of the given height and width of a
/// row-major output.
pub(super) fn par_blocks(
    dst: &mut [f32],
    (rows, cols): (usize, usize),
    (tall, wide): (usize, usize),
    f: impl Fn(Block<'_>, Range<usize>, Range<usize>) + Sync,
) {
    assert_eq!(dst.len(), rows * cols, "product output");
    if dst.is_empty() {
        return;
    }
    let across = cols.div_ceil(wide);
    let output = Output { start: dst.as_mut_ptr(), rows, cols };
    (0..rows.div_ceil(tall) * across).into_par_iter().for_each(|index| {
        let rows = block_range(index / across, tall, rows);
        let cols = block_range(index % across, wide, cols);
        // SAFETY: blocks of distinct indices are disjoint, and `dst` is borrowed for the call.
        let block = unsafe { output.block(rows.clone(), cols.clone()) };
        f(block, rows, cols);
    });
}

/// The `index`-th block of `size` out of `len`.
pub(crate) fn block_range(index: usize, size: usize, len: usize) -> Range<usize> {
    index * size..((index + 1) * size).min(len)
}

/// The tile that a task computes, from the shape alone. Measured on AVX-512: `gemm` is fastest on
/// tall tiles, because it packs the narrow operand once and streams the other; tiles of 32 to 128
/// columns keep the packed part in the first two caches. Narrow products are cut by rows.
fn tile(rows: usize, cols: usize) -> (usize, usize) {
    const TALLEST: usize = 1024;
    if cols >= 128 {
        (rows.min(TALLEST), cols.div_ceil(8).next_multiple_of(32).clamp(32, 128))
    } else {
        (rows.div_ceil(8).next_multiple_of(32).clamp(32, 256), cols)
    }
}
