#!/usr/bin/env python3
"""Whether a cheaper preset ranks tokenizers as a dearer one does.

    benches/presets.py CHEAP DEAR [--metrics recall@10 ndcg@10] [--seed 0]

CHEAP and DEAR are folders of `das compare` over the same data. Prints for each metric the figures
of the rows that both have, Spearman's rank correlation and the number of pairs in the same order.
Rows to compare with (sasrec, popularity) are left out.
"""

import argparse
import itertools
import json
import pathlib

OTHERS = {"sasrec", "popularity", "no-sid"}


def figures(folder, metric, seed):
    """The metric by method, of one seed, or of the mean over seeds."""
    found = {}
    for line in (pathlib.Path(folder) / "results.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["task"] != "generative" or record["method"] in OTHERS:
            continue
        if seed is None or record["seed"] == seed:
            found.setdefault(record["method"], []).append(record["metrics"][metric])
    return {method: sum(values) / len(values) for method, values in found.items()}


def ranks(values):
    """Ranks from 1, ties at their mean."""
    order = sorted(values)
    return [order.index(v) + (order.count(v) + 1) / 2 for v in values]


def correlation(left, right):
    """Pearson's, of ranks: Spearman's."""
    left, right = ranks(left), ranks(right)
    mean = (len(left) + 1) / 2
    dot = lambda a, b: sum((x - mean) * (y - mean) for x, y in zip(a, b))
    return dot(left, right) / (dot(left, left) * dot(right, right)) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cheap")
    parser.add_argument("dear")
    parser.add_argument("--metrics", nargs="+", default=["recall@10", "ndcg@10"])
    parser.add_argument("--seed", type=int, help="of one seed; else the mean over seeds")
    args = parser.parse_args()
    for metric in args.metrics:
        cheap, dear = (figures(folder, metric, args.seed) for folder in (args.cheap, args.dear))
        rows = sorted(cheap.keys() & dear.keys(), key=lambda row: -dear[row])
        if len(rows) < 3:
            parser.error(f"the folders share {len(rows)} rows, expected at least 3")
        print(f"{metric}\n" + "\n".join(f"  {r:24} {cheap[r]:.4f}  {dear[r]:.4f}" for r in rows))
        same = sum((cheap[a] > cheap[b]) == (dear[a] > dear[b]) for a, b in itertools.combinations(rows, 2))
        rho = correlation([cheap[r] for r in rows], [dear[r] for r in rows])
        print(f"  Spearman {rho:.2f}; {same} of {len(rows) * (len(rows) - 1) // 2} pairs alike\n")


if __name__ == "__main__":
    main()
