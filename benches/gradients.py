#!/usr/bin/env python3
"""Means of gradient reports over steps and runs: which terms of the objective pull against each other.

    das train --data beauty --out runs/0 --set train.gradient_report_steps=50 --set seed=0
    benches/gradients.py runs/*/gradients.jsonl

One line of JSON a group of parameters and pair of terms: the mean cosine between their gradients over the whole training and
over its second half, as a mean of runs, with the least and the greatest of the runs; and one a group and term with its
mean norm. Steps without a gradient of either count for nothing.
"""

import argparse
import json
from pathlib import Path


def reports(path):
    """The reports of a run, and the step at which its second half begins."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return rows, max(row["step"] for row in rows) / 2


def collect(path):
    """(group, terms) → (step is in the second half, value), of cosines and of norms."""
    rows, half = reports(path)
    cosines, norms = {}, {}
    for row in rows:
        late, group, terms = row["step"] >= half, row["group"], row["terms"]
        for i, (name, norm) in enumerate(zip(terms, row["norms"])):
            norms.setdefault((group, name), []).append((late, norm))
            for j in range(i):
                if norm > 0 and row["norms"][j] > 0:
                    cosine = row["cosines"][i][j]
                    cosines.setdefault((group, terms[j], name), []).append((late, cosine))
    return cosines, norms


def means(values):
    """Over the whole training, and over its second half."""
    whole = [value for _, value in values]
    late = [value for is_late, value in values if is_late]
    return sum(whole) / len(whole), sum(late) / len(late) if late else None


def spread(values):
    """Mean, least and greatest of runs."""
    values = [value for value in values if value is not None]
    return [round(f(values), 4) for f in (lambda v: sum(v) / len(v), min, max)] if values else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="gradients.jsonl")
    runs = [collect(path) for path in parser.parse_args().files]
    for kind, which in (("cosine", 0), ("norm", 1)):
        for key in sorted(set().union(*(run[which] for run in runs))):
            halves = zip(*(means(run[which][key]) for run in runs if key in run[which]))
            whole, late = (spread(values) for values in halves)
            print(json.dumps({"group": key[0], "terms": list(key[1:]), kind: whole, "late": late}))


if __name__ == "__main__":
    main()
