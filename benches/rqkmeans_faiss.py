#!/usr/bin/env python3
"""Compare residual k-means with faiss's residual quantizer on the same vectors.

    benches/rqkmeans_faiss.py VECTORS.npy MODEL.safetensors [--side item] [--threads 2]

VECTORS.npy holds what a run was trained on (`das embed --data DATA --out DIR` writes
`item_embeddings.npy`), MODEL.safetensors is the `model.safetensors` of its artifact
(`das train --method rqkmeans --data DATA --out RUN`). Both sides quantize greedily, level by level
(beam 1), with codebooks of the same sizes. The figure is the sum of squared errors after each
level. faiss trains once with its default, progressive k-means over growing numbers of dimensions,
once with plain k-means and once with its own joint refinement of the codebooks.

On the items of Amazon Beauty (12,101 vectors of width 384, 3 x 256 codes) this repository's defaults
leave 2264 after the last level; faiss 1.15.1 leaves 2471, 2620 and 2334 in that order.

Needs faiss-cpu and numpy. Codebook sizes must be equal powers of two, as faiss has them.
"""

import argparse
import json
import struct
import time
from pathlib import Path

import faiss
import numpy as np


def read_model(path, side):
    """Codebooks of a side, coarse level first, and whether vectors are normalised."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    normalize = header.get("__metadata__", {}).get("normalize") == "true"
    books = []
    while (info := header.get(f"{side}.codebook.{len(books)}")) is not None:
        start, end = (8 + length + offset for offset in info["data_offsets"])
        books.append(np.frombuffer(data[start:end], dtype="<f4").reshape(info["shape"]))
    if not books:
        raise SystemExit(f"{path}: no tensor {side}.codebook.0")
    return books, normalize


def errors(vectors, books):
    """Sum of squared errors after each level of greedy quantization."""
    left, sums = vectors.astype(np.float64), []
    for book in books:
        book = book.astype(np.float64)
        scores = (book**2).sum(axis=1) - 2.0 * left @ book.T
        left = left - book[scores.argmin(axis=1)]
        sums.append(float((left**2).sum()))
    return sums


def faiss_books(vectors, levels, bits, train_type):
    """Codebooks that faiss trains, and the seconds it takes."""
    quantizer = faiss.ResidualQuantizer(vectors.shape[1], levels, bits)
    quantizer.max_beam_size = 1
    if train_type is not None:
        quantizer.train_type = train_type
    started = time.monotonic()
    quantizer.train(vectors)
    seconds = time.monotonic() - started
    flat = faiss.vector_to_array(quantizer.codebooks)
    return list(flat.reshape(levels, 1 << bits, -1)), seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vectors", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", choices=["item", "user"], default="item")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    books, normalize = read_model(options.model, options.side)
    vectors = np.load(options.vectors).astype(np.float32)
    if normalize:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    bits = int(np.log2(len(books[0])))
    if any(len(book) != 1 << bits for book in books):
        raise SystemExit("codebook sizes are not equal powers of two")
    faiss.omp_set_num_threads(options.threads)

    ours = errors(vectors, books)
    print(f"{len(vectors)} vectors of width {vectors.shape[1]}, {len(books)} x {1 << bits} codes")
    print(f"{'ours':>20}: {' '.join(f'{error:9.1f}' for error in ours)}")
    plain = faiss.ResidualQuantizer.Train_default
    refined = plain | faiss.ResidualQuantizer.Train_refine_codebook
    for name, kind in [("default", None), ("plain", plain), ("refined", refined)]:
        theirs, seconds = faiss_books(vectors, len(books), bits, kind)
        found = errors(vectors, theirs)
        print(f"{'faiss ' + name:>20}: {' '.join(f'{error:9.1f}' for error in found)}"
              f"   ours is {ours[-1] / found[-1]:.4f} of it ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
