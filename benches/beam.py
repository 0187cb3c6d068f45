#!/usr/bin/env python3
"""Time beam search of the generative retriever in this engine, in PyTorch and in transformers.

    benches/beam.py make DIR [--items 12000] [--users 2000] [--levels 3] [--history 50] [--dim 128]
    benches/beam.py compare DIR [--python PYTHON] [--das DAS] [--rounds 5] [--beam 50] [--k 20]
    benches/beam.py torch DIR [--out FILE]
    benches/beam.py generate DIR

`make` draws a retriever, a catalogue of semantic IDs and histories, and writes them as `das bench
retrieve --dir` reads them: retriever.safetensors, and queries.safetensors with `sids` and
`histories`. `compare` runs the other commands in turn, with DIR's content: it needs the standard
library alone, and PYTHON, which runs the others, torch, transformers, numpy and safetensors.

Three ways to the best items of a user:

das       `das bench retrieve --dir`
torch     the same model in PyTorch, from the same weights, with the same rule for the beam. A
          history is encoded once. The depth decoder has no attention, so what it keeps of a prefix
          is one vector. The tree of IDs is arrays, and a depth is a fixed number of tensor
          operations over all users and beams. Nodes with one child are not asked.
generate  transformers' generate on a T5 with random weights and as many parameters as the
          retriever, as published retrievers run: a token a digit, `prefix_allowed_tokens_fn` over
          nested dicts, keys and values cached. It finds other items, being another model.

All run in f32 on the same number of threads; the clock covers histories to items, not loading.
Users come in batches, and for das and torch one by one as well. `generate` answers fewer of them.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

from runs import DEFAULT_DAS, run_json

# The rule of crates/recommend/src/generative/search.rs.
SPREAD = 0.4
FIRST_DEPTH = 2
# Scores that are this close may stand in either order.
TIE = 1e-3


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("dir", type=Path)
    search = argparse.ArgumentParser(add_help=False)
    for name, value in (("beam", 50), ("k", 20), ("batch", 64), ("threads", 2)):
        search.add_argument(f"--{name}", type=positive, default=value)

    of_make = commands.add_parser("make", parents=[folder], help="draw weights, IDs and histories")
    sizes = {"items": 12000, "users": 2000, "levels": 3, "codes": 256, "history": 50, "dim": 128,
             "layers": 2, "heads": 4, "hidden": 256, "depth-layers": 1, "depth-hidden": 256}
    for name, value in sizes.items():
        of_make.add_argument(f"--{name}", type=positive, default=value)
    of_make.add_argument("--seed", type=int, default=0)
    of_torch = commands.add_parser("torch", parents=[folder, search], help="the same model")
    of_torch.add_argument("--users", type=positive, help="the first so many; all by default")
    of_torch.add_argument("--latency", action="store_true", help="time every user alone as well")
    of_torch.add_argument("--out", type=Path, help="write items and scores to this file")
    of_generate = commands.add_parser("generate", parents=[folder, search], help="a T5")
    of_generate.add_argument("--users", type=positive, default=64)
    of_compare = commands.add_parser("compare", parents=[folder, search], help="all in turn")
    of_compare.add_argument("--python", default=sys.executable)
    of_compare.add_argument("--das", type=Path, default=DEFAULT_DAS)
    of_compare.add_argument("--rounds", type=positive, default=5)
    of_compare.add_argument("--generate-users", type=positive, default=64)
    of_compare.add_argument("--generate-batch", type=positive, default=16)
    of_agree = commands.add_parser("agree", help="hold two files of answers against each other")
    of_agree.add_argument("ours", type=Path)
    of_agree.add_argument("theirs", type=Path)
    return parser.parse_args()


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {value}")
    return value


# --- make


def make(options):
    """Write a model, a catalogue and histories."""
    import numpy
    from safetensors.numpy import save_file

    rng = numpy.random.default_rng(options.seed)
    sids = draw_sids(rng, options.items, options.levels, options.codes)
    suffix = int(sids[:, -1].max()) + 1
    widths = [options.codes] * options.levels + [suffix]
    config = {"history": options.history, "dim": options.dim, "layers": options.layers,
              "heads": options.heads, "hidden": options.hidden, "renormalise": True,
              "depth_layers": options.depth_layers, "depth_hidden": options.depth_hidden}
    layout = {"codebook_sizes": widths[:-1], "collision": "suffix", "suffix": suffix}
    weights = draw_weights(rng, config, widths)
    header = json.dumps({"layout": layout, "config": config})
    options.dir.mkdir(parents=True, exist_ok=True)
    path = options.dir / "retriever.safetensors"
    save_file(weights, path, metadata={"model": "retriever", "header": header})
    shortest = min(5, options.history)
    lengths = rng.integers(shortest, options.history + 1, options.users)
    histories = rng.integers(0, options.items, (options.users, options.history))
    histories[numpy.arange(options.history) < (options.history - lengths)[:, None]] = -1
    save_file({"sids": sids, "histories": histories}, options.dir / "queries.safetensors")
    prefixes = [len(numpy.unique(sids[:, :depth], axis=0)) for depth in range(1, len(widths) + 1)]
    return {"parameters": sum(w.size for w in weights.values()), "prefixes": prefixes}


def draw_sids(rng, items, levels, codes):
    """Codes of a level follow a skewed distribution whose order depends on the prefix; a last digit
    tells items of equal codes apart, as the collision policy `suffix` does."""
    import numpy

    odds = 1.0 / (numpy.arange(codes) + 5)
    prefix, columns = numpy.zeros(items, numpy.int64), []
    for _ in range(levels):
        columns.append((rng.choice(codes, items, p=odds / odds.sum()) + prefix) % codes)
        prefix = (prefix * 257 + columns[-1] + 1) * 40503 % (1 << 31)
    learned = numpy.stack(columns, 1)
    order = numpy.lexsort(learned.T[::-1])
    first = numpy.ones(items, bool)
    first[1:] = (numpy.diff(learned[order], axis=0) != 0).any(1)
    place = numpy.arange(items)
    suffix = numpy.empty(items, numpy.int64)
    suffix[order] = place - numpy.maximum.accumulate(numpy.where(first, place, 0))
    return numpy.concatenate([learned, suffix[:, None]], 1)


def draw_weights(rng, config, widths):
    """Parameters under the product's names, of a scale at which a digit's logits differ by several
    nats, as in a trained model."""
    import numpy

    dim, vocabulary = config["dim"], sum(widths)
    weights = {}

    def normal(name, rows, cols, deviation):
        values = rng.standard_normal((rows, cols)) * deviation
        weights[name] = values.astype(numpy.float32)

    def norm(name):
        weights[f"{name}.gain"] = numpy.ones((1, dim), numpy.float32)
        normal(f"{name}.bias", 1, dim, 0.1)

    def linear(name, inputs, outputs):
        normal(f"{name}.weight", outputs, inputs, inputs**-0.5)
        normal(f"{name}.bias", 1, outputs, 0.1)

    def feed_forward(name, hidden):
        norm(f"{name}.norm")
        linear(f"{name}.rise", dim, hidden)
        linear(f"{name}.fall", hidden, dim)

    normal("inputs", vocabulary + 1, dim, 0.5)
    normal("positions", config["history"] + 1, dim, 0.5)
    for layer in range(config["layers"]):
        norm(f"transformer.{layer}.norm")
        for part in ("query", "key", "value", "mix"):
            linear(f"transformer.{layer}.{part}", dim, dim)
        feed_forward(f"transformer.{layer}.feed_forward", config["hidden"])
    norm("transformer.norm")
    linear("bridge", dim, dim)
    normal("prefixes", vocabulary + len(widths), dim, 0.5)
    for layer in range(config["depth_layers"]):
        feed_forward(f"depth.{layer}", config["depth_hidden"])
    norm("depth.norm")
    for digit, width in enumerate(widths):
        normal(f"outputs.{digit}", width, dim, 2.5 * dim**-0.5)
    return weights


# --- what the other sides load


def load(options):
    """Settings, widths of the digits, weights, IDs and histories of a folder, as tensors."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    torch.set_num_threads(options.threads)
    with safe_open(options.dir / "retriever.safetensors", "pt") as file:
        header = json.loads(file.metadata()["header"])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    layout = header["layout"]
    suffix = [layout["suffix"]] if layout["suffix"] else []
    queries = load_file(options.dir / "queries.safetensors")
    histories = queries["histories"]
    if options.users is not None:
        histories = histories[: options.users]
    widths = layout["codebook_sizes"] + suffix
    return header["config"], widths, weights, queries["sids"], histories


def timed(answer, histories, options):
    """Users a second in batches, after one that is not timed, and all answers."""
    answer(histories[: options.batch])
    started = time.perf_counter()
    answers = [answer(batch) for batch in histories.split(options.batch)]
    seconds = time.perf_counter() - started
    return len(histories) / seconds, answers


def latencies(answer, histories):
    """Milliseconds of calls for one user: the half and 99 % of them."""
    times = []
    for history in histories.split(1):
        started = time.perf_counter()
        answer(history)
        times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    rank = lambda share: times[max(math.ceil(share * len(times)) - 1, 0)]
    return {"p50_ms": rank(0.5), "p99_ms": rank(0.99)}


# --- torch


class Tree:
    """The IDs that exist as arrays by depth. Nodes of a depth are numbered in the order of their
    prefixes, so the children of a node are a run of numbers."""

    def __init__(self, sids):
        import torch

        self.items = torch.arange(len(sids))
        for column in reversed(range(sids.shape[1])):
            order = torch.sort(sids[self.items, column], stable=True).indices
            self.items = self.items[order]
        rows = sids[self.items]
        self.codes, self.first, self.count, self.spread = [], [], [], []
        above, begins = torch.zeros(len(rows), dtype=torch.long), torch.zeros(len(rows), dtype=bool)
        begins[0] = True
        for depth in range(sids.shape[1]):
            begins[1:] |= rows[1:, depth] != rows[:-1, depth]
            node, starts = begins.cumsum(0) - 1, begins.nonzero()[:, 0]
            count = torch.bincount(above[starts])
            self.codes.append(rows[starts, depth])
            self.count.append(count)
            self.first.append(count.cumsum(0) - count)
            self.spread.append(SPREAD * torch.bincount(node).float().log())
            above = node
        if len(starts) != len(rows):
            sys.exit("expected IDs that no two items share")


class Model:
    """The retriever: contexts of histories, logits of a digit, beam search."""

    def __init__(self, config, widths, weights, sids):
        import torch
        from torch.nn import functional

        self.torch, self.functional = torch, functional
        self.config, self.weights = config, weights
        self.tree, self.vocabulary = Tree(sids), sum(widths)
        self.offsets = [sum(widths[:digit]) for digit in range(len(widths))]
        self.tokens = sids + torch.tensor(self.offsets)

    def linear(self, name, x):
        weights = self.weights
        return self.functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"][0])

    def norm(self, name, x):
        gain, bias = self.weights[f"{name}.gain"][0], self.weights[f"{name}.bias"][0]
        return self.functional.layer_norm(x, gain.shape, gain, bias)

    def feed_forward(self, name, x):
        hidden = self.linear(f"{name}.rise", self.norm(f"{name}.norm", x))
        return x + self.linear(f"{name}.fall", self.functional.gelu(hidden, approximate="tanh"))

    def contexts(self, histories):
        """`[users, dim]` of padded histories. Rows begin with their first item, so that under a
        causal mask no row sees the padding behind it."""
        torch, weights = self.torch, self.weights
        lengths = (histories >= 0).sum(1)
        longest = int(lengths.max())
        at = torch.arange(longest + 1)
        width = histories.shape[1]
        place = (width - lengths[:, None] + at - 1).clamp(0, width - 1)
        items = histories.gather(1, place).clamp(min=0)
        bags = self.tokens[items].flatten(0, 1)
        x = self.functional.embedding_bag(bags, weights["inputs"], mode="sum")
        x = x.view(*items.shape, -1)
        x[:, 0] = weights["inputs"][self.vocabulary] * len(self.offsets)
        x = x + weights["positions"][at]
        heads = self.config["heads"]
        for layer in range(self.config["layers"]):
            name = f"transformer.{layer}"
            normed = self.norm(f"{name}.norm", x)
            asking, how = normed, {"is_causal": True}
            if layer + 1 == self.config["layers"]:
                # Nothing looks at what the last layer makes of rows before the last.
                row = (torch.arange(len(x)), lengths)
                x, asking = x[row][:, None], normed[row][:, None]
                how = {"attn_mask": (at <= lengths[:, None])[:, None, None]}
            q, k, v = (self.linear(f"{name}.{part}", rows).unflatten(2, (heads, -1)).transpose(1, 2)
                       for part, rows in (("query", asking), ("key", normed), ("value", normed)))
            seen = self.functional.scaled_dot_product_attention(q, k, v, **how)
            x = x + self.linear(f"{name}.mix", seen.transpose(1, 2).flatten(2))
            x = self.feed_forward(f"{name}.feed_forward", x)
        return self.linear("bridge", self.norm("transformer.norm", x[:, 0]))

    def logits(self, states, digit):
        """Logits of a digit from contexts with the sum of the prefix's embeddings."""
        x = states + self.weights["prefixes"][self.vocabulary + digit]
        for layer in range(self.config["depth_layers"]):
            x = self.feed_forward(f"depth.{layer}", x)
        return self.norm("depth.norm", x) @ self.weights[f"outputs.{digit}"].T

    def search(self, histories, beam, k):
        """Items and ln p of the best `k`, `[users, k]`; the frontier is flat, user by user."""
        torch, users = self.torch, len(histories)
        states = self.contexts(histories)
        user, node = torch.arange(users), torch.zeros(users, dtype=torch.long)
        score = torch.zeros(users)
        for digit, offset in enumerate(self.offsets):
            parent, child, score = self.expand(states, node, score, digit)
            user = user.index_select(0, parent)
            kept = FIRST_DEPTH * beam if digit == 0 else beam
            promise = score - self.tree.spread[digit].index_select(0, child)
            chosen = self.best(user, promise, users, kept)
            user, node, score = (x.index_select(0, chosen) for x in (user, child, score))
            if digit + 1 < len(self.offsets):
                code = self.tree.codes[digit].index_select(0, node) + offset
                states = states.index_select(0, parent.index_select(0, chosen))
                states += self.weights["prefixes"].index_select(0, code)
        leaf, score = self.padded(user, users, (node, -1), (score, -math.inf))
        score, at = score.topk(min(k, score.shape[1]), dim=1)
        items = self.tree.items[leaf.gather(1, at)]
        return items, score

    def expand(self, states, node, score, digit):
        """Places of the parents in the frontier, nodes and ln p of all children."""
        torch, tree = self.torch, self.tree
        count = tree.count[digit].index_select(0, node)
        parent = torch.arange(len(node)).repeat_interleave(count)
        # A run of children is the first one and those after it.
        first = tree.first[digit].index_select(0, node) - (count.cumsum(0) - count)
        child = first.index_select(0, parent) + torch.arange(len(parent))
        score = score.index_select(0, parent)
        # An only child is as probable as its parent.
        asked = (count > 1).nonzero()[:, 0]
        if len(asked):
            row = torch.empty_like(count).index_copy_(0, asked, torch.arange(len(asked)))
            among = (count > 1).index_select(0, parent).nonzero()[:, 0]
            row = row.index_select(0, parent.index_select(0, among))
            code = tree.codes[digit].index_select(0, child.index_select(0, among))
            logits = self.logits(states.index_select(0, asked), digit)
            logit = logits.view(-1).index_select(0, row * logits.shape[1] + code)
            top = torch.full((len(asked),), -math.inf).scatter_reduce_(0, row, logit, "amax")
            logit -= top.index_select(0, row)
            total = torch.zeros(len(asked)).index_add_(0, row, logit.exp()).log()
            score.index_add_(0, among, logit - total.index_select(0, row))
        return parent, child, score

    def best(self, user, promise, users, kept):
        """Places of the best `kept` of each user, in order."""
        torch = self.torch
        if len(user) <= kept:
            return torch.arange(len(user))
        place = torch.arange(len(user))
        promise, place = self.padded(user, users, (promise, -math.inf), (place, -1))
        if promise.shape[1] > kept:
            place = place.gather(1, promise.topk(kept, dim=1, sorted=False).indices)
            place = place.sort(1).values
        place = place.flatten()
        return place[place >= 0]

    def padded(self, user, users, *columns):
        """Flat columns as matrices of a row a user, filled up behind."""
        torch = self.torch
        count = torch.bincount(user, minlength=users)
        shape = (users, int(count.max()))
        first = torch.arange(users) * shape[1] - (count.cumsum(0) - count)
        at = first.index_select(0, user) + torch.arange(len(user))
        return [torch.full(shape, fill, dtype=values.dtype).view(-1).index_copy_(0, at, values)
                .view(shape) for values, fill in columns]


def run_torch(options):
    """Time the same model in PyTorch."""
    import torch
    from safetensors.torch import save_file

    config, widths, weights, sids, histories = load(options)
    if not config.get("renormalise", True):
        sys.exit("expected a model with `renormalise`")
    histories = histories[:, -config["history"]:]
    with torch.inference_mode():
        model = Model(config, widths, weights, sids)
        answer = lambda batch: model.search(batch, options.beam, options.k)
        rate, answers = timed(answer, histories, options)
        figures = latencies(answer, histories) if options.latency else {}
    if options.out:
        items, scores = (torch.cat(part).contiguous() for part in zip(*answers))
        save_file({"items": items, "scores": scores}, options.out)
    return {"users": len(histories), "users_per_s": rate, **figures}


# --- generate


def run_generate(options):
    """Time transformers' generate on a T5 of as many parameters."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    config, widths, weights, sids, histories = load(options)
    wanted = sum(weight.numel() for weight in weights.values())
    offsets = torch.tensor([sum(widths[:digit]) for digit in range(len(widths))]) + SPECIALS
    tokens = sids + offsets
    shape = t5_shape(config, sum(widths) + SPECIALS, wanted)
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(T5Config(**shape)).eval()
    parameters = sum(weight.numel() for weight in model.parameters())
    if abs(parameters - wanted) > 0.1 * wanted:
        sys.exit(f"a T5 of {parameters} parameters, expected about {wanted}")
    tree = {}
    for row in tokens.tolist():
        node = tree
        for token in row:
            node = node.setdefault(token, {})
    allowed = lambda _, prefix: list(descend(tree, prefix.tolist()[1:]))

    def answer(batch):
        width = int((batch >= 0).sum(1).max())
        items = batch[:, -width:]
        ids = tokens[items.clamp(min=0)]
        mask = (items >= 0)[:, :, None].expand_as(ids)
        return model.generate(
            input_ids=ids.where(mask, torch.tensor(PAD)).flatten(1),
            attention_mask=mask.flatten(1).long(),
            num_beams=options.beam, num_return_sequences=options.k, do_sample=False,
            max_new_tokens=len(widths), min_new_tokens=len(widths), use_cache=True,
            prefix_allowed_tokens_fn=allowed,
        )

    with torch.inference_mode():
        rate, answers = timed(answer, histories, options)
    found = answers[0][:, 1:1 + len(widths)].tolist()
    if not all(descend(tree, row) == {} for row in found):
        sys.exit("generate returned an ID that no item has")
    return {"users": len(histories), "users_per_s": rate, "parameters": parameters,
            "retriever_parameters": wanted}


PAD, EOS, SPECIALS = 0, 1, 2


def descend(tree, prefix):
    for token in prefix:
        tree = tree[token]
    return tree


def t5_shape(config, vocabulary, wanted):
    """Settings of a T5 as wide as the retriever, whose feed-forward layers make up the parameters
    that remain; with fewer layers where none would."""
    dim, heads = config["dim"], config["heads"]
    for layers in range(config["layers"], 0, -1):
        # Attention of an encoder and a decoder layer, position biases, norms, embeddings.
        fixed = 12 * layers * dim * dim + 64 * heads + (5 * layers + 2) * dim + vocabulary * dim
        hidden = round((wanted - fixed) / (4 * layers * dim))
        if hidden >= dim // 2 or layers == 1:
            break
    return {"vocab_size": vocabulary, "d_model": dim, "d_kv": dim // heads, "num_heads": heads,
            "num_layers": layers, "num_decoder_layers": layers, "d_ff": max(hidden, 1),
            "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD}


# --- compare


def compare(options):
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "das.safetensors", Path(folder) / "torch.safetensors"
        search = ["--beam", options.beam, "--k", options.k, "--threads", options.threads]
        batch, other = ["--batch", options.batch], [options.python, __file__]
        commands = {
            "das": [options.das, "bench", "retrieve", "--dir", options.dir, "--json", "--latency",
                    "--out", ours, *search, *batch],
            "torch": [*other, "torch", options.dir, "--latency", "--out", theirs, *search, *batch],
            "generate": [*other, "generate", options.dir, "--users", options.generate_users,
                         "--batch", options.generate_batch, *search],
        }
        results = measure(commands, options.rounds)
        agreed = run_json([*other, "agree", ours, theirs])
    report(results)
    print(f"das and torch: the same top {options.k} for {100 * agreed['same']:.2f} % of "
          f"{agreed['users']} users, ties aside; scores differ by at most {agreed['error']:.1e}")
    if agreed["same"] < 0.99:
        sys.exit("expected the same items for at least 99 % of the users")


def measure(commands, rounds):
    """The figures of every side by round; the side that begins takes turns."""
    results = {side: [] for side in commands}
    print(f"{'users/s':>7}" + "".join(f"{side:>10}" for side in commands))
    for number in range(rounds):
        sides = list(commands)
        turn = number % len(sides)
        for side in sides[turn:] + sides[:turn]:
            results[side].append(run_json(commands[side]))
        rates = "".join(f"{results[side][-1]['users_per_s']:>10.1f}" for side in commands)
        print(f"{number + 1:>7}{rates}", flush=True)
    return results


def report(results):
    rates = {side: [one["users_per_s"] for one in of_side] for side, of_side in results.items()}
    for side, of_side in rates.items():
        ratios = [das / other for das, other in zip(rates["das"], of_side)]
        print(f"{side}: median {statistics.median(of_side):.1f} users/s; das answers "
              f"{statistics.median(ratios):.2f} times as many "
              f"({min(ratios):.2f} to {max(ratios):.2f})")
    for side in ("das", "torch"):
        half, most = (statistics.median(one[key] for one in results[side])
                      for key in ("p50_ms", "p99_ms"))
        print(f"{side}, one user alone: p50 {half:.2f} ms, p99 {most:.2f} ms")
    sizes = results["generate"][0]
    print(f"parameters: {sizes['retriever_parameters']} of the retriever, {sizes['parameters']} "
          f"of the T5, which answered {sizes['users']} users")


def agree(options):
    """The share of users with the same items, but for those that tie with the last."""
    from safetensors.numpy import load_file

    ours, theirs = load_file(options.ours), load_file(options.theirs)
    same, error = 0, 0.0
    for of_user in zip(ours["items"], ours["scores"], theirs["items"], theirs["scores"]):
        left, right = dict(zip(*map(list, of_user[:2]))), dict(zip(*map(list, of_user[2:])))
        only = [score - min(of_side.values()) for of_side, other in ((left, right), (right, left))
                for item, score in of_side.items() if item not in other]
        same += len(left) == len(right) and all(above <= TIE for above in only)
        error = max([error, *(abs(left[item] - right[item]) for item in left if item in right)])
    users = len(ours["items"])
    if users != len(theirs["items"]):
        sys.exit(f"{users} and {len(theirs['items'])} users")
    return {"users": users, "same": same / users, "error": float(error)}


if __name__ == "__main__":
    options = arguments()
    if options.command == "compare":
        compare(options)
    else:
        sides = {"make": make, "torch": run_torch, "generate": run_generate, "agree": agree}
        print(json.dumps(sides[options.command](options)))
