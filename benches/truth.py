#!/usr/bin/env python3
"""Holds the semantic IDs of runs against the truth of the market that they were trained on.

    das market --users 40000 --unbiased-rounds 1 --out market
    das compare --data market --out comparison --methods "das,das -icdm" --tasks intrinsic
    benches/truth.py market comparison/runs/leave-last-out/*/seed-*

One line of JSON a run. Of first codes:

  information  of a user's code and an item's, in nats, if every user were shown every item once and popularity
               had no say: exact, not sampled, with the click model of `das market`
  subtopic     normalized mutual information of an item's code with its sub-topic
  interest     the same of a user's code with the user's favourite sub-topic
  popularity   share of the variance of an item's log clicks that its code explains, adjusted for the number of codes
  bias         the same of how much more often the item was shown than others

Needs numpy and pyarrow.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

# The click model of crates/data/src/synthetic/behaviour.rs.
BIAS, MATCH_WEIGHT, APPEAL_WEIGHT = -2.7, 5.4, 0.5
# Users whose chances to click are held at once.
CHUNK = 2000


class Truth:
    """What a market was drawn from."""

    def __init__(self, folder):
        items = pq.read_table(folder / "item_truth.parquet")
        users = pq.read_table(folder / "user_truth.parquet")
        self.item_ids, self.user_ids = column(items, "item_id"), column(users, "user_id")
        self.subtopic = column(items, "subtopic")
        self.appeal = column(items, "appeal")
        self.log_clicks = np.log1p(column(items, "clicks"))
        self.exposure_bias = column(items, "exposure_bias")
        interest = users["interest"].combine_chunks().flatten().to_numpy()
        self.interest = interest.reshape(users.num_rows, -1)

    def clicks_by_code(self, user_codes, item_codes):
        """Expected clicks of each pair of codes, every item shown once to every user."""
        item_of_code = np.eye(item_codes.max() + 1)[item_codes]
        found = np.zeros((user_codes.max() + 1, item_of_code.shape[1]))
        match = self.interest / self.interest.max(axis=1, keepdims=True)
        for start in range(0, len(match), CHUNK):
            own = slice(start, start + CHUNK)
            logit = BIAS + MATCH_WEIGHT * match[own][:, self.subtopic] + APPEAL_WEIGHT * self.appeal
            chance = 1 / (1 + np.exp(-logit))
            np.add.at(found, user_codes[own], chance @ item_of_code)
        return found


def column(table, name):
    return table[name].combine_chunks().to_numpy()


def first_codes(run, side, ids):
    """The first code of every entity, in the order of `ids`."""
    table = pq.read_table(run / "artifact" / f"{side}_sids.parquet")
    codes = table["codes"].combine_chunks()
    width = len(codes[0])
    first = codes.flatten().to_numpy().reshape(-1, width)[:, 0]
    by_id = dict(zip(column(table, f"{side}_id").tolist(), first.tolist()))
    return np.array([by_id[entity] for entity in ids.tolist()])


def information(joint):
    """Mutual information of a table of counts, in nats."""
    p = joint / joint.sum()
    outer = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / outer[seen])).sum())


def normalized_information(a, b):
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1)
    entropy = lambda counts: -sum(p * np.log(p) for p in counts / counts.sum() if p > 0)
    return information(joint) / ((entropy(joint.sum(1)) + entropy(joint.sum(0))) / 2)


def explained(codes, values):
    """Adjusted share of the variance of `values` that lies between codes."""
    counts = np.bincount(codes)
    means = np.bincount(codes, values) / np.maximum(counts, 1)
    within, total = ((values - means[codes]) ** 2).sum(), ((values - values.mean()) ** 2).sum()
    used = (counts > 0).sum()
    return float(1 - (within / (len(values) - used)) / (total / (len(values) - 1)))


def measure(truth, run):
    items = first_codes(run, "item", truth.item_ids)
    users = first_codes(run, "user", truth.user_ids)
    return {
        "run": f"{run.parent.name}/{run.name}",
        "information": information(truth.clicks_by_code(users, items)),
        "subtopic": float(normalized_information(items, truth.subtopic)),
        "interest": float(normalized_information(users, truth.interest.argmax(axis=1))),
        "popularity": explained(items, truth.log_clicks),
        "bias": explained(items, truth.exposure_bias),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("market", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    args = parser.parse_args()
    truth = Truth(args.market)
    for run in args.runs:
        print(json.dumps(measure(truth, run)), flush=True)


if __name__ == "__main__":
    main()
