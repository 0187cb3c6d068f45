#!/usr/bin/env python3
"""Time a published model in this engine and in transformers with PyTorch in turn.

    benches/embed.py MODEL ITEMS.parquet [--column title] [--python PYTHON] [--das DAS] [--rounds 5]

MODEL is the folder of a BERT or RoBERTa encoder, ITEMS a table with a column of texts. PYTHON runs
the other side and needs torch, transformers, numpy and pyarrow; this driver needs the standard
library alone. `das` must be built with `--features models`.

Both sides get the same distinct texts on the same number of threads, in f32, cut to the same
length. Either tokenizes them, sorts by length and works batch by batch; the clock covers that, not
loading. PyTorch runs twice: with the very batches of this engine (texts up to a sum of tokens), which
it has to pad, and with 32 texts a batch, as sentence-transformers does. In each round all
three run, in turning order. A ratio below 1 says that this engine is faster.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from runs import DEFAULT_DAS, run_json

OTHER_SIDE = ("texts", "embed", "compare")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("items", type=Path)
    parser.add_argument("--column", default="title")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--max-length", type=int, default=256)
    options = parser.parse_args()
    for name in ("rounds", "threads", "batch_tokens", "max_length"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1")
    return options


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        texts, ours, theirs = folder / "texts", folder / "das.npy", folder / "torch.npy"
        other = [options.python, __file__]
        count = run_json([*other, "texts", options.items, options.column, texts])["texts"]
        torch = [*other, "embed", options.model, texts, options.threads, options.max_length]
        commands = {
            "das": [options.das, "bench", "embed", "--model", options.model, "--texts", texts,
                    "--threads", options.threads, "--batch-tokens", options.batch_tokens,
                    "--out", ours, "--json"],
            "torch": [*torch, "tokens", options.batch_tokens, theirs],
            "torch 32": [*torch, "texts", 32, theirs],
        }
        measure(options, commands, count)
        print("cosine of both, smallest:", run_json([*other, "compare", ours, theirs])["cosine"])


def measure(options, commands, count):
    seconds = {side: [] for side in commands}
    print(f"{count} distinct texts\n" + f"{'round':>5}" + "".join(f"{s:>12}" for s in commands))
    for number in range(options.rounds):
        sides = list(commands)
        turn = number % len(sides)
        for side in sides[turn:] + sides[:turn]:
            seconds[side].append(run_json(commands[side])["seconds"])
        line = "".join(f"{seconds[side][-1]:>10.2f} s" for side in commands)
        print(f"{number + 1:>5}{line}", flush=True)
    for side in commands:
        ratios = [das / other for das, other in zip(seconds["das"], seconds[side])]
        median = statistics.median(seconds[side])
        print(f"{side}: median {median:.2f} s, {count / median:.0f} texts/s; das takes "
              f"{statistics.median(ratios):.3f} of it ({min(ratios):.3f} to {max(ratios):.3f})")


def texts(items, column, out):
    """Write the distinct texts of a column, a line each."""
    import pyarrow.parquet

    values = pyarrow.parquet.read_table(items, columns=[column])[column].to_pylist()
    lines = dict.fromkeys(" ".join((value or "").split()) for value in values)
    lines.pop("", None)
    Path(out).write_text("".join(f"{line}\n" for line in lines))
    return {"texts": len(lines)}


def batches(lengths, rule, size):
    """Rows, longest first, cut by a number of texts or by a sum of tokens."""
    batch, tokens = [], 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        full = len(batch) == size if rule == "texts" else tokens + lengths[row] > size
        if batch and full:
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += lengths[row]
    if batch:
        yield batch


def embed(model, texts, threads, max_length, rule, size, out):
    """Mean-pooled unit vectors of the lines of a file."""
    import numpy
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(int(threads))
    lines = Path(texts).read_text().splitlines()
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModel.from_pretrained(model).eval()

    def run(lines):
        ids = tokenizer(lines, truncation=True, max_length=int(max_length))["input_ids"]
        vectors = numpy.zeros((len(lines), network.config.hidden_size), numpy.float32)
        for rows in batches([len(row) for row in ids], rule, int(size)):
            batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            states = network(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return vectors

    with torch.inference_mode():
        run(lines[:64])
        started = time.perf_counter()
        vectors = run(lines)
        seconds = time.perf_counter() - started
    numpy.save(out, vectors)
    return {"seconds": seconds}


def compare(ours, theirs):
    """The smallest cosine of two matrices of unit vectors, row by row."""
    import numpy

    return {"cosine": float((numpy.load(ours) * numpy.load(theirs)).sum(1).min())}


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in OTHER_SIDE:
        print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
    else:
        main()
