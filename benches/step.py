#!/usr/bin/env python3
"""Time the yardstick step of this engine and of PyTorch in turn, and print the ratio.

    benches/step.py TORCH_STEP DIR [--python PYTHON] [--das DAS] [--rounds 7] [--threads 2]

TORCH_STEP is the yardstick script `torch_step.py`, DIR the folder of weights and batches that its
`make` writes; where DIR has none they are made first. PYTHON runs that script and needs torch,
numpy and safetensors. This driver needs the standard library alone.

Both sides run the same step on the same weights and batches: dense AdamW here, `--mode fused`
there. In each round one runs after the other, and the order alternates, so that a slow phase of
the machine falls on both. A ratio below 1 says that this engine is faster.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

DEFAULT_DAS = Path(__file__).resolve().parent.parent / "target" / "release" / "das"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("torch_step", type=Path)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for name in ("rounds", "steps", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected at least 1")
    return options


def last_json(command):
    """Run a command; the JSON that it prints, whole or as its last line."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}: {' '.join(map(str, command))}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return json.loads(done.stdout.strip().splitlines()[-1])


def make_if_missing(options):
    if all((options.dir / f"{name}.safetensors").exists() for name in ("init", "batches")):
        return
    options.dir.mkdir(parents=True, exist_ok=True)
    command = [options.python, options.torch_step, "make", options.dir, "--shape", "step"]
    subprocess.run([str(part) for part in command], check=True)


def main():
    options = arguments()
    make_if_missing(options)
    sizes = ["--steps", options.steps, "--threads", options.threads]
    train = [options.python, options.torch_step, "train", options.dir, "--mode", "fused", *sizes]
    commands = {
        "das": [options.das, "bench", "step", "--dir", options.dir, "--json", *sizes],
        "torch": train,
    }
    times = {"das": [], "torch": []}
    print(f"{'round':>5} {'das ms':>9} {'torch ms':>9} {'ratio':>7}")
    for number in range(options.rounds):
        order = ["das", "torch"] if number % 2 == 0 else ["torch", "das"]
        for side in order:
            times[side].append(last_json(commands[side])["ms"])
        das, torch = times["das"][-1], times["torch"][-1]
        print(f"{number + 1:>5} {das:>9.1f} {torch:>9.1f} {das / torch:>7.3f}", flush=True)
    medians = {side: statistics.median(values) for side, values in times.items()}
    ratios = [das / torch for das, torch in zip(times["das"], times["torch"])]
    print(f"\nmedian: das {medians['das']:.1f} ms, torch (fused) {medians['torch']:.1f} ms")
    print(f"ratio of medians: {medians['das'] / medians['torch']:.3f}")
    print(f"ratio by round: median {statistics.median(ratios):.3f}, "
          f"from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
