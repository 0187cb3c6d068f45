#!/usr/bin/env python3
"""Time a training step of this engine and of PyTorch in turn, and print the ratio.

    benches/step.py TORCH_STEP DIR [--shape step|beauty-1024|beauty-2048|beauty-4096]
    benches/step.py benches/torch_ranker.py DIR --model ranker [--shape ml100k|beauty]
    benches/step.py benches/torch_retriever.py DIR --model retriever
        [--python PYTHON] [--das DAS] [--mode fused] [--precision f32|bf16]
        [--rounds 7] [--steps 30] [--threads 2]

TORCH_STEP is the yardstick script of the model, `torch_step.py` for the tokenizer; DIR is the
folder of weights and batches that its `make` writes; where DIR has none they are made first.
PYTHON runs that script and needs torch, numpy and safetensors. This driver needs the standard
library alone.

Both sides run the same step on the same weights and batches: dense AdamW here, `--mode fused`
there. In each round one runs after the other, and the order alternates, so that a slow phase of
the machine falls on both. A ratio below 1 says that this engine is faster. Where the script tells
its first losses, they must be those of this engine.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from runs import DEFAULT_DAS, run_json

HERE = Path(__file__).resolve().parent
DEFAULT_SHAPES = {"tokenizer": "step", "ranker": "ml100k", "retriever": "beauty"}
LOSS_TOLERANCE = {"f32": 1e-4, "bf16": 2e-3}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("torch_step", type=Path)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--model", default="tokenizer", choices=list(DEFAULT_SHAPES))
    parser.add_argument("--shape", help="a shape of the script, or beauty-BATCH of torch_shapes.py")
    parser.add_argument("--mode", default="fused", help="of PyTorch")
    parser.add_argument("--precision", default="f32", choices=list(LOSS_TOLERANCE),
                        help="in which this engine's layers and contrasts multiply")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.shape = options.shape or DEFAULT_SHAPES[options.model]
    for name in ("rounds", "steps", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected at least 1")
    return options


def script(options):
    """The command of the script; the tokenizer's with the shapes of real data sets."""
    more_shapes = [HERE / "torch_shapes.py"] if options.model == "tokenizer" else []
    return [options.python, *more_shapes, options.torch_step]


def make_if_missing(options):
    made, wanted = options.dir / "made.json", {"model": options.model, "shape": options.shape}
    if all((options.dir / f"{name}.safetensors").exists() for name in ("init", "batches")):
        found = json.loads(made.read_text()) if made.exists() else wanted
        if found != wanted:
            sys.exit(f"{made}: expected {wanted}, found {found}; name another folder")
        return
    options.dir.mkdir(parents=True, exist_ok=True)
    command = [*script(options), "make", options.dir, "--shape", options.shape]
    subprocess.run([str(part) for part in command], check=True)
    made.write_text(json.dumps(wanted) + "\n")


def check_losses(das, torch, tolerance):
    """Refuses to compare the times of two different computations."""
    pairs = zip(das["first_losses"], torch.get("first_losses") or [])
    for step, (ours, theirs) in enumerate(pairs):
        if abs(ours - theirs) > tolerance * abs(theirs):
            sys.exit(f"loss of step {step}: das {ours}, torch {theirs}")


def main():
    options = arguments()
    make_if_missing(options)
    sizes = ["--steps", options.steps, "--threads", options.threads]
    folder = ["--dir", options.dir, "--model", options.model]
    commands = {
        "das": [options.das, "bench", "step", *folder, "--precision", options.precision, "--json",
                *sizes],
        "torch": [*script(options), "train", options.dir, "--mode", options.mode, *sizes],
    }
    times = {"das": [], "torch": []}
    print(f"{'round':>5} {'das ms':>9} {'torch ms':>9} {'ratio':>7}")
    for number in range(options.rounds):
        order = ["das", "torch"] if number % 2 == 0 else ["torch", "das"]
        printed = {side: run_json(commands[side]) for side in order}
        check_losses(printed["das"], printed["torch"], LOSS_TOLERANCE[options.precision])
        for side in order:
            times[side].append(printed[side]["ms"])
        das, torch = times["das"][-1], times["torch"][-1]
        print(f"{number + 1:>5} {das:>9.1f} {torch:>9.1f} {das / torch:>7.3f}", flush=True)
    medians = {side: statistics.median(values) for side, values in times.items()}
    ratios = [das / torch for das, torch in zip(times["das"], times["torch"])]
    print(f"\nmedian: das ({options.precision}) {medians['das']:.1f} ms, "
          f"torch ({options.mode}) {medians['torch']:.1f} ms")
    print(f"ratio of medians: {medians['das'] / medians['torch']:.3f}")
    print(f"ratio by round: median {statistics.median(ratios):.3f}, "
          f"from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
