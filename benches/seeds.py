#!/usr/bin/env python3
"""Compare DAS with content-only codes over seeds, by agreement on held-out clicks.

    benches/seeds.py DATA --out DIR [--das DAS] [--seeds 0 1 2] [-- TRAIN ARGUMENTS]

For each seed two runs are trained on the data-set folder DATA: DAS with its defaults, and
content-only (`model.alpha = model.beta = 0`: the same tokenizers without any click). Each is
inspected against the test clicks. The figure is the lift of prefix-co-click agreement: of pairs
(a test item, one of the same user's last five training items) the share with equal first codes,
over the share expected of pairs drawn from the same click marginals.

Arguments after `--` go to every `das train`, e.g. `-- --set train.epochs=12`. Runs are kept in
DIR/METHOD-SEED and records in DIR/seeds.jsonl; a run that is there already is taken as it is, so an
interrupted comparison continues: name another DIR for other arguments. Needs the standard library
alone.
"""

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

from runs import DEFAULT_DAS, run_json

METHODS = {"content-only": ["--set", "model.alpha=0", "--set", "model.beta=0"], "das": []}
# Quantile 0.975 of Student's t by degrees of freedom (two-sided 95 %).
T_975 = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
    10: 2.228, 11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110,
    18: 2.101, 19: 2.093, 20: 2.086,
}


def arguments():
    argv, train = sys.argv[1:], []
    if "--" in argv:
        cut = argv.index("--")
        argv, train = argv[:cut], argv[cut + 1:]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(argv)
    if not 2 <= len(set(options.seeds)) == len(options.seeds) <= max(T_975) + 1:
        parser.error(f"--seeds: expected 2 to {max(T_975) + 1} different seeds")
    options.train = train
    return options


def measure(options, method, seed):
    """Train one run, unless it is complete, and inspect it."""
    run = options.out / f"{method}-{seed}"
    seconds = None
    if not (run / "artifact" / "manifest.json").exists():
        command = [options.das, "train", "--data", options.data, "--out", run, "--json"]
        unfinished = (run / "config.toml").exists()
        settings = ["--seed", seed, *METHODS[method], *options.train]
        started = time.monotonic()
        run_json(command + (["--resume"] if unfinished else settings))
        seconds = None if unfinished else round(time.monotonic() - started, 1)
    item = run_json([options.das, "inspect", run, "--data", options.data, "--json"])["item"]
    test = next(part for part in item["agreement"] if part["part"] == "test")
    first = test["prefixes"][0]
    return {
        "method": method,
        "seed": seed,
        "lift": first["lift"],
        "observed": first["observed"],
        "expected": first["expected"],
        "collision_rate": item["collision_rate"],
        "used": [level["used"] / level["codebook_size"] for level in item["levels"]],
        "seconds": seconds,
    }


def interval(differences):
    """Mean and half-width of the 95 % t-interval."""
    count = len(differences)
    spread = statistics.stdev(differences) / math.sqrt(count)
    return statistics.mean(differences), T_975[count - 1] * spread


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    lifts = {method: [] for method in METHODS}
    print(f"{'seed':>4} {'method':>13} {'lift':>7} {'observed':>9} {'collisions':>11} "
          f"{'least used':>11} {'seconds':>8}")
    with open(options.out / "seeds.jsonl", "w", encoding="utf-8") as log:
        for seed in options.seeds:
            for method in METHODS:
                record = measure(options, method, seed)
                lifts[method].append(record["lift"])
                log.write(json.dumps(record) + "\n")
                log.flush()
                print(f"{seed:>4} {method:>13} {record['lift']:>7.3f} {record['observed']:>9.4f} "
                      f"{record['collision_rate']:>11.4f} {min(record['used']):>11.3f} "
                      f"{record['seconds'] or '–':>8}", flush=True)
    differences = [das - content for das, content in zip(lifts["das"], lifts["content-only"])]
    mean, half = interval(differences)
    print("\nlift, mean over seeds: " + ", ".join(
        f"{method} {statistics.mean(values):.3f}" for method, values in lifts.items()))
    print("paired differences: " + ", ".join(f"{value:+.3f}" for value in differences))
    print(f"mean {mean:+.3f}, 95 % interval {mean - half:+.3f} to {mean + half:+.3f} "
          f"(t, {len(differences) - 1} degrees of freedom)")
    print("the interval excludes 0" if abs(mean) > half else "the interval includes 0")


if __name__ == "__main__":
    main()
