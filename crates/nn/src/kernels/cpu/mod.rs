//! The host's backend: checks nothing that the operations checked, and hands slices to kernels.

mod activation;
mod adamw;
mod attention;
mod bce;
pub(crate) mod bf16;
mod cosine;
mod dropout;
mod elementwise;
pub(crate) mod gemm;
mod info_nce;
mod layer_norm;
mod linear;
mod log_probabilities;
pub(crate) mod packed;
mod pool;
mod products;
pub(crate) mod quantize;
mod rows;
pub(crate) mod simd;
mod softmax_ce;

use self::gemm::Mat;
use self::pool::{HostBuffer, Pool};
use self::products::Products;
use self::quantize::Book;
use super::backend::{
    Activation, AdamWUpdate, AttentionBackward, AttentionForward, Backend, BceForward, Buffer,
    DropoutMask, Factor, InfoNceForward, LayerNormBackward, LinearBackward, LogProbabilities,
    Moments, QuantizeBackward, SoftmaxCeForward,
};
use crate::device::Precision;
use crate::row_groups::RowGroups;
use crate::tensor::Tensor;

/// The host's processor.
#[derive(Default)]
pub(crate) struct Cpu {
    pool: Pool,
    /// Of the products of linear layers and contrasts.
    precision: Precision,
}

impl Cpu {
    pub(crate) fn new(precision: Precision) -> Cpu {
        Cpu { pool: Pool::default(), precision }
    }

    fn products(&self) -> Products<'_> {
        Products { precision: self.precision, pool: &self.pool }
    }
}

fn host(tensor: &Tensor) -> &[f32] {
    let buffer = tensor.buffer().downcast_ref::<HostBuffer>().expect("a tensor of the cpu");
    &buffer.values()[..tensor.len()]
}

fn host_mut(tensor: &mut Tensor) -> &mut [f32] {
    let len = tensor.len();
    let buffer = tensor.buffer_mut().downcast_mut::<HostBuffer>().expect("a tensor of the cpu");
    &mut buffer.values_mut()[..len]
}

fn host_codes(buffer: &Buffer) -> &Vec<u32> {
    buffer.downcast_ref().expect("codes of the cpu")
}

fn mat(tensor: &Tensor) -> Mat<'_> {
    Mat::new(host(tensor), tensor.rows(), tensor.cols())
}

fn factor(factor: Factor<'_>) -> Mat<'_> {
    match factor {
        Factor::Plain(tensor) => mat(tensor),
        Factor::Transposed(tensor) => mat(tensor).t(),
    }
}

fn slices(moments: Moments<'_>) -> adamw::Slices<'_> {
    adamw::Slices {
        value: host_mut(moments.value),
        first: host_mut(moments.first),
        second: host_mut(moments.second),
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn allocate(&self, len: usize) -> Buffer {
        Box::new(self.pool.take(len))
    }

    fn release(&self, buffer: Buffer) {
        self.pool.put(*buffer.downcast().expect("a buffer of the cpu"));
    }

    fn write(&self, dst: &mut Tensor, at: usize, values: &[f32]) {
        elementwise::copy(values, &mut host_mut(dst)[at..at + values.len()]);
    }

    fn read(&self, src: &Tensor, at: usize, out: &mut [f32]) {
        elementwise::copy(&host(src)[at..at + out.len()], out);
    }

    fn fill(&self, dst: &mut Tensor, value: f32) {
        elementwise::fill(host_mut(dst), value);
    }

    fn copy(&self, src: &Tensor, dst: &mut Tensor) {
        elementwise::copy(host(src), host_mut(dst));
    }

    fn add(&self, src: &Tensor, dst: &mut Tensor) {
        elementwise::add(host(src), host_mut(dst));
    }

    fn sum(&self, a: &Tensor, b: &Tensor, dst: &mut Tensor) {
        elementwise::sum(host(a), host(b), host_mut(dst));
    }

    fn multiply(&self, a: &Tensor, b: &Tensor, dst: &mut Tensor) {
        elementwise::multiply(host(a), host(b), host_mut(dst));
    }

    fn multiply_add(&self, a: &Tensor, b: &Tensor, c: &Tensor, dst: &mut Tensor) {
        self.copy(c, dst);
        elementwise::accumulate_product(host(a), host(b), host_mut(dst));
    }

    fn scale(&self, dst: &mut Tensor, factor: f32) {
        elementwise::scale(host_mut(dst), factor);
    }

    fn difference(&self, a: &Tensor, b: &Tensor, factor: f32, dst: &mut Tensor) {
        elementwise::difference(host(a), host(b), factor, host_mut(dst));
    }

    fn square_sum(&self, x: &Tensor) -> f64 {
        elementwise::square_sum(host(x))
    }

    fn squared_distance(&self, a: &Tensor, b: &Tensor, scale: f32, dst: &mut Tensor) {
        let sum = elementwise::squared_distance(host(a), host(b));
        host_mut(dst)[0] = (f64::from(scale) * sum) as f32;
    }

    fn weighted_sum(&self, parts: &[(&Tensor, f32)], dst: &mut Tensor) {
        let term = |(part, w): &(&Tensor, f32)| f64::from(host(part)[0]) * f64::from(*w);
        host_mut(dst)[0] = parts.iter().map(term).sum::<f64>() as f32;
    }

    fn gather_rows(&self, src: &Tensor, rows: &[u32], dst: &mut Tensor) {
        rows::gather(host(src), rows, src.cols(), host_mut(dst));
    }

    fn gather_bags(&self, src: &Tensor, rows: &[u32], bag: usize, dst: &mut Tensor) {
        rows::gather_bags(host(src), rows, bag, src.cols(), host_mut(dst));
    }

    fn add_rows(&self, src: &Tensor, groups: &RowGroups, dst: &mut Tensor) {
        rows::add_groups(host(src), groups, src.cols(), host_mut(dst));
    }

    fn mean_runs(&self, src: &Tensor, offsets: &[u32], dst: &mut Tensor) {
        rows::mean_runs(host(src), offsets, src.cols(), host_mut(dst));
    }

    fn share_runs(&self, src: &Tensor, offsets: &[u32], dst: &mut Tensor) {
        rows::share_runs(host(src), offsets, src.cols(), host_mut(dst));
    }

    fn put_columns(&self, src: &Tensor, dst: &mut Tensor, at: usize) {
        let dst_cols = dst.cols();
        rows::put_columns(host(src), src.cols(), host_mut(dst), dst_cols, at);
    }

    fn add_columns(&self, src: &Tensor, dst: &mut Tensor, at: usize) {
        let dst_cols = dst.cols();
        rows::add_columns(host(src), src.cols(), host_mut(dst), dst_cols, at);
    }

    fn take_columns(&self, src: &Tensor, at: usize, dst: &mut Tensor) {
        let cols = dst.cols();
        rows::take_columns(host(src), src.cols(), at, host_mut(dst), cols);
    }

    fn product(&self, a: Factor<'_>, b: Factor<'_>, dst: &mut Tensor) {
        gemm::par_product(factor(a), factor(b), host_mut(dst));
    }

    fn activate(&self, x: &Tensor, activation: Activation, y: &mut Tensor) {
        activation::activate(host(x), activation, host_mut(y));
    }

    fn linear_forward(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        activation: Activation,
        y: &mut Tensor,
    ) {
        let operands = (mat(x), mat(w), host(b));
        linear::forward(self.products(), operands, activation, host_mut(y));
    }

    fn linear_backward(&self, args: LinearBackward<'_>) {
        let LinearBackward { x, w, activated, activation, dy, dx, dw, db } = args;
        linear::activation_backward(host(activated), activation, host_mut(dy), host_mut(db));
        let operands = (mat(x), mat(w), mat(dy));
        linear::products_backward(self.products(), operands, dx.map(host_mut), host_mut(dw));
    }

    fn normalize_forward(&self, x: &Tensor, y: &mut Tensor, norms: &mut Tensor) {
        rows::normalize(host(x), x.cols(), host_mut(y), host_mut(norms));
    }

    fn normalize_backward(&self, y: &Tensor, norms: &Tensor, grad: &mut Tensor) {
        rows::normalize_backward(host(y), y.cols(), host(norms), host_mut(grad));
    }

    fn layer_norm_forward(
        &self,
        x: &Tensor,
        gain: &Tensor,
        bias: &Tensor,
        eps: f32,
        y: &mut Tensor,
        moments: &mut Tensor,
    ) {
        let (y, moments) = (host_mut(y), host_mut(moments));
        layer_norm::forward(host(x), (host(gain), host(bias)), eps, y, moments);
    }

    fn layer_norm_backward(&self, args: LayerNormBackward<'_>) {
        let LayerNormBackward { x, gain, moments, dy, dx, dgain, dbias } = args;
        let operands = layer_norm::Operands {
            x: host(x),
            gain: host(gain),
            moments: host(moments),
            dy: host(dy),
        };
        layer_norm::backward(&operands, dx.map(host_mut), host_mut(dgain), host_mut(dbias));
    }

    fn dropout(&self, src: &Tensor, mask: &DropoutMask, dst: &mut Tensor) {
        dropout::apply(host(src), mask, host_mut(dst));
    }

    fn attention_forward(&self, args: AttentionForward<'_>) {
        let AttentionForward { q, k, v, options, y, probabilities } = args;
        let layout = attention::Layout::new(options, q.cols());
        let operands = (host(q), host(k), host(v));
        match probabilities {
            Some(kept) => attention::forward(&layout, operands, host_mut(y), host_mut(kept)),
            None => attention::infer(&layout, operands, host_mut(y)),
        }
    }

    fn attention_backward(&self, args: AttentionBackward<'_>) {
        let AttentionBackward { q, k, v, options, probabilities, dy, dq, dk, dv } = args;
        let layout = attention::Layout::new(options, q.cols());
        let operands = attention::Operands {
            q: host(q),
            k: host(k),
            v: host(v),
            probabilities: host(probabilities),
            dy: host(dy),
        };
        attention::backward(&layout, &operands, host_mut(dq), host_mut(dk), host_mut(dv));
    }

    fn quantize_forward(
        &self,
        z: &Tensor,
        books: &[&Tensor],
        scale: f32,
        through: &mut Tensor,
        loss: &mut Tensor,
    ) -> Buffer {
        let mut codes = vec![0; z.rows() * books.len()];
        let books: Vec<Book<'_>> =
            books.iter().map(|book| Book::new(host(book), book.cols())).collect();
        let sum = quantize::forward(host(z), &books, host_mut(through), &mut codes);
        host_mut(loss)[0] = (f64::from(scale) * sum) as f32;
        Box::new(codes)
    }

    fn read_codes(&self, codes: &Buffer) -> Vec<u32> {
        host_codes(codes).clone()
    }

    fn quantize_backward(&self, args: QuantizeBackward<'_>) {
        let books: Vec<&[f32]> = args.books.iter().map(|book| host(book)).collect();
        let mut dbooks: Vec<&mut [f32]> = args.dbooks.iter_mut().map(host_mut).collect();
        quantize::backward(
            &self.pool,
            host(args.z),
            (&books, args.z.cols()),
            host_codes(args.codes),
            &quantize::Factors {
                commitment: 2.0 * args.factor * args.commitment_weight,
                codebook: -2.0 * args.factor,
            },
            args.dz.map(host_mut),
            &mut dbooks,
        );
    }

    fn info_nce(&self, args: InfoNceForward<'_>) {
        let InfoNceForward { a, b, options, loss, da, db } = args;
        let (operands, shape) = ((host(a), host(b)), a.shape());
        let (da, db) = (da.map(host_mut), db.map(host_mut));
        host_mut(loss)[0] = info_nce::forward(self.products(), operands, shape, options, da, db);
    }

    fn softmax_ce(&self, args: SoftmaxCeForward<'_>) {
        let SoftmaxCeForward { x, catalogue, targets, options, loss, dx, dcatalogue } = args;
        let operands = (host(x), host(catalogue), x.cols());
        let (dx, dcatalogue) = (dx.map(host_mut), dcatalogue.map(host_mut));
        host_mut(loss)[0] =
            softmax_ce::forward(&self.pool, operands, targets, options, dx, dcatalogue);
    }

    fn log_probabilities(&self, args: LogProbabilities<'_>) {
        let LogProbabilities { x, catalogue, candidates, among, out } = args;
        let operands = (mat(x), mat(catalogue));
        let out = host_mut(out);
        log_probabilities::log_probabilities(&self.pool, operands, candidates, among, out);
    }

    fn bce_with_logits(&self, args: BceForward<'_>) {
        let BceForward { logits, labels, row_weights, loss, gradient } = args;
        let gradient = gradient.map(host_mut);
        host_mut(loss)[0] = bce::with_logits(host(logits), labels, row_weights, gradient);
    }

    fn squared_cosine(
        &self,
        a: &Tensor,
        b: &Tensor,
        loss: &mut Tensor,
        da: Option<&mut Tensor>,
        db: Option<&mut Tensor>,
    ) {
        let (da, db) = (da.map(host_mut), db.map(host_mut));
        host_mut(loss)[0] = cosine::squared_cosine((host(a), host(b)), a.shape(), da, db);
    }

    fn adamw_dense(&self, moments: Moments<'_>, grad: &Tensor, update: &AdamWUpdate) {
        adamw::dense(slices(moments), host(grad), update);
    }

    fn adamw_rows(&self, moments: Moments<'_>, rows: &[u32], grad: &Tensor, update: &AdamWUpdate) {
        adamw::rows(slices(moments), grad.cols(), rows, host(grad), update);
    }

    fn adamw_table(
        &self,
        moments: Moments<'_>,
        rows: &[u32],
        grad: &Tensor,
        active: &mut [bool],
        update: &AdamWUpdate,
    ) {
        adamw::table(slices(moments), grad.cols(), rows, host(grad), active, update);
    }
}
