#!/usr/bin/env python3
"""Time residual k-means of this engine and of faiss in turn, and print the ratio.

    benches/faiss_kmeans.py VECTORS.npy [--python PYTHON] [--das DAS] [--rounds 5] [--threads 2]

Both sides fit 256 codes a level to the same vectors, three levels, each to what the one before it
leaves over, in 25 iterations: `das bench kmeans` here, `faiss.Kmeans` there with all points and its
own random start, level by level. PYTHON runs the other side and needs faiss-cpu and numpy; this
driver needs the standard library alone. The order alternates. Figures are medians: seconds for
three levels together, and the sum of squared errors after the last.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from runs import DEFAULT_DAS, run_json


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--faiss", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def faiss_side(options):
    """Three fits of each of three seeds, as one line of JSON."""
    import time

    import faiss
    import numpy as np

    faiss.omp_set_num_threads(options.threads)
    vectors = np.ascontiguousarray(np.load(options.vectors), dtype=np.float32)
    seconds, inertia = [], []
    for seed in range(3):
        left = vectors.copy()
        started = time.perf_counter()
        for _ in range(3):
            kmeans = faiss.Kmeans(
                left.shape[1], 256, niter=25, seed=seed + 1, max_points_per_centroid=len(left)
            )
            kmeans.train(left)
            _, chosen = kmeans.index.search(left, 1)
            left -= kmeans.centroids[chosen[:, 0]]
        seconds.append(time.perf_counter() - started)
        inertia.append(float((left.astype(np.float64) ** 2).sum()))
    print(json.dumps({"seconds": statistics.median(seconds), "inertia": statistics.median(inertia)}))


def main():
    options = arguments()
    if options.faiss:
        return faiss_side(options)
    ours = [options.das, "bench", "kmeans", "--vectors", options.vectors, "--rounds", 3, "--json"]
    theirs = [options.python, __file__, options.vectors, "--faiss"]
    commands = {side: [*command, "--threads", options.threads]
                for side, command in (("das", ours), ("faiss", theirs))}
    found = {"das": [], "faiss": []}
    for number in range(options.rounds):
        for side in ("das", "faiss") if number % 2 == 0 else ("faiss", "das"):
            found[side].append(run_json(commands[side]))
        print("  ".join(f"{side} {runs[-1]['seconds']:.3f} s" for side, runs in found.items()), flush=True)
    seconds, inertia = (
        {side: statistics.median(run[key] for run in runs) for side, runs in found.items()}
        for key in ("seconds", "inertia")
    )
    print(f"median: das {seconds['das']:.3f} s, faiss {seconds['faiss']:.3f} s, ratio {seconds['das'] / seconds['faiss']:.3f}")
    print(f"squared error: das {inertia['das']:.1f}, faiss {inertia['faiss']:.1f}")


if __name__ == "__main__":
    main()
