#!/usr/bin/env python3
"""Time content -> codes of this engine and of PyTorch in turn, and print the ratios.

    benches/encode.py TORCH_STEP DIR [--python PYTHON] [--das DAS] [--rounds 5] [--threads 2]

TORCH_STEP is the yardstick script `torch_step.py`, DIR the folder that its `make --shape encode`
writes; where DIR has nothing it is made first. PYTHON runs that script and needs torch, numpy and
safetensors. This driver needs the standard library alone.

Every side encodes the same batch of 4096 items (encoder 384-256-128-32, three levels of 256 codes)
with the same weights and must find the same codes. The order alternates. Figures are items a
second, medians over rounds.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from runs import DEFAULT_DAS, run_json

MODES = ("eager", "compile")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("torch_step", type=Path)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    options = arguments()
    torch = [options.python, options.torch_step]
    if not (options.dir / "init.safetensors").exists():
        options.dir.mkdir(parents=True, exist_ok=True)
        made = [*torch, "make", options.dir, "--shape", "encode"]
        subprocess.run([str(part) for part in made], check=True)
    threads = ["--threads", options.threads]
    commands = {"das": [options.das, "bench", "encode", "--dir", options.dir, "--json", *threads]}
    for mode in MODES:
        commands[mode] = [*torch, "infer", options.dir, "--mode", mode, *threads]
    rates = {side: [] for side in commands}
    sums = set()
    print("round " + " ".join(f"{side:>10}" for side in commands))
    for number in range(options.rounds):
        for side in list(commands) if number % 2 == 0 else list(commands)[::-1]:
            found = run_json(commands[side])
            rates[side].append(found["items_per_s"])
            sums.add((tuple(found["first"]), found["sum"]))
        print(f"{number + 1:>5} " + " ".join(f"{values[-1]:>10.0f}" for values in rates.values()), flush=True)
    if len(sums) != 1:
        sys.exit(f"the sides found different codes: {sorted(sums)}")
    for mode in MODES:
        ratios = [das / torch for das, torch in zip(rates["das"], rates[mode])]
        medians = statistics.median(rates["das"]), statistics.median(rates[mode])
        print(
            f"das {medians[0]:.0f} items/s, torch {mode} {medians[1]:.0f}: {medians[0] / medians[1]:.2f} times as many "
            f"({min(ratios):.2f} to {max(ratios):.2f} by round)"
        )


if __name__ == "__main__":
    main()
