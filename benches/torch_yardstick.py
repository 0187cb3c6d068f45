"""What the yardsticks of `torch_ranker.py` and `torch_retriever.py` share: their command line, the
training loop, and how a folder is written.

A folder has `config.json` (sizes and settings), `init.safetensors` (weights under the product's
names) and `batches.safetensors` (what the steps run on, plain rows).
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WARM_UP = 5
LOSSES = 3


def arguments(doc, shapes):
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["make", "train", "golden"])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--shape", default=next(iter(shapes)), choices=list(shapes))
    parser.add_argument("--dropout", type=float, default=0.0, help="written by `make`")
    parser.add_argument("--mode", default="fused", choices=["eager", "fused", "compile"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def write(folder, config, weights, batches):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(weights, folder / "init.safetensors")
    save_file(batches, folder / "batches.safetensors")


def linear(weights, name, inputs, outputs, generator):
    """`NAME.weight` and `NAME.bias`, uniform within 1/√inputs."""
    bound = inputs**-0.5
    for part, shape in (("weight", (outputs, inputs)), ("bias", (1, outputs))):
        draw = torch.rand(*shape, generator=generator)
        weights[f"{name}.{part}"] = (draw * 2 - 1) * bound


def run(doc, shapes, make, model_of):
    """`make(folder, shape, dropout)` writes a folder. `model_of(config, weights, batches)` gives
    the parameters, the batches as tensors, prepared before the clock runs, and the loss of one."""
    options = arguments(doc, shapes)
    torch.set_num_threads(options.threads)
    if options.what == "make":
        return make(options.dir, shapes[options.shape], options.dropout)
    config = json.loads((options.dir / "config.json").read_text())
    weights = load_file(options.dir / "init.safetensors")
    batches = load_file(options.dir / "batches.safetensors")
    if options.what == "golden":
        weights = {name: values.double() for name, values in weights.items()}
    parameters, prepared, loss_of = model_of(config, weights, batches)
    losses, times = steps(config["settings"]["fit"], parameters, prepared, loss_of, options)
    if options.what == "golden":
        print(json.dumps({"losses": losses}))
        return
    print(json.dumps({
        "mode": options.mode,
        "ms": round(statistics.median(times[WARM_UP:]) * 1e3, 2),
        # With dropout there is nothing to hold them against.
        "first_losses": losses[:LOSSES] if config["settings"]["dropout"] == 0 else None,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))


def steps(fit, parameters, prepared, loss_of, options):
    """Losses and seconds of every step: gradients cut to a global norm, then AdamW."""
    for values in parameters:
        values.requires_grad_()
    optimizer = torch.optim.AdamW(
        parameters,
        lr=fit["learning_rate"],
        weight_decay=fit["weight_decay"],
        fused=options.what == "train" and options.mode != "eager" or None,
    )
    if options.mode == "compile":
        loss_of = torch.compile(loss_of, dynamic=False)
    losses, times = [], []
    for step in range(options.steps + (WARM_UP if options.what == "train" else 0)):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(prepared[step % len(prepared)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, fit["clip_norm"], foreach=True)
        optimizer.step()
        losses.append(loss.item())
        times.append(time.perf_counter() - started)
    return losses, times
