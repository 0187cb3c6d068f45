#!/usr/bin/env python3
"""One training step of the generative retriever in PyTorch: the yardstick for speed, and golden
losses.

    benches/torch_retriever.py make   DIR [--shape beauty|small] [--dropout RATE]
    benches/torch_retriever.py train  DIR --mode eager|fused|compile [--steps 30] [--threads 2]
    benches/torch_retriever.py golden DIR [--steps 5]      float64 losses as JSON

The maths of `crates/recommend/src/generative`: a causal transformer over items, a depth decoder
over the digits of the next item, each digit told from the codes that continue an existing ID. Settings are
the product's defaults, but for dropout, which is 0 unless asked for.

Done as PyTorch does it best: rows are packed, so that linear layers see no padding; queries, keys
and values come from one layer and are padded for causal `scaled_dot_product_attention` alone; the
depth decoder runs once over the rows of all digits; digits that are settled by those before them
cost nothing; and all indices and masks are prepared before the clock runs.
"""

import torch
import torch.nn.functional as F

from torch_yardstick import linear, run, write

BATCHES = 4
DEFAULTS = {
    "history": 20, "dim": 128, "layers": 2, "heads": 4, "hidden": 256, "depth_layers": 1,
    "depth_hidden": 256, "dropout": 0.0, "renormalise": True,
    "fit": {"batch_size": 256, "learning_rate": 2e-3, "weight_decay": 0.01, "clip_norm": 1.0},
}
SMALL = {
    "history": 6, "dim": 16, "heads": 2, "hidden": 24, "depth_hidden": 20,
    "fit": DEFAULTS["fit"] | {"batch_size": 8},
}
SHAPES = {
    "beauty": {"items": 12_101, "levels": [256] * 3, "settings": DEFAULTS},
    "small": {"items": 60, "levels": [6] * 3, "settings": DEFAULTS | SMALL},
}


def make(folder, shape, dropout):
    g = torch.Generator().manual_seed(0)
    sids = make_sids(shape, g)
    widths = [*shape["levels"], int(sids[:, -1].max()) + 1]
    layout = {"codebook_sizes": shape["levels"], "collision": "suffix", "suffix": widths[-1]}
    config = {"layout": layout, "settings": shape["settings"] | {"dropout": dropout}}
    offsets, items = make_sequences(shape, g)
    batches = {"sids": sids, "offsets": offsets, "items": items}
    write(folder, config, make_weights(shape["settings"], widths, g), batches)


def make_sids(shape, g):
    """Codes of all items, common ones more often; the last digit numbers those that are equal."""
    draw = torch.rand(shape["items"], len(shape["levels"]), generator=g)
    codes = (draw**2.5 * torch.tensor(shape["levels"])).long()
    seen, suffix = {}, []
    for code in map(tuple, codes.tolist()):
        suffix.append(seen.get(code, 0))
        seen[code] = suffix[-1] + 1
    return torch.cat([codes, torch.tensor(suffix)[:, None]], 1).contiguous()


def make_sequences(shape, g):
    """Lengths as in Amazon Beauty: most users have few items. Each is one window of the product's
    learner: its start and all items but the last are inputs, and every item is a target."""
    users = BATCHES * shape["settings"]["fit"]["batch_size"]
    draw = torch.empty(users).log_normal_(0.6, 1.25, generator=g)
    lengths = (3 + draw.long()).clamp(max=shape["settings"]["history"] + 1)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    items = torch.rand(int(offsets[-1]), generator=g) ** 2 * shape["items"]
    return offsets, items.long()


def make_weights(r, widths, g):
    dim, vocabulary, p = r["dim"], sum(widths), {}

    def norm(name):
        p[f"{name}.gain"] = 1 + 0.1 * torch.randn(1, dim, generator=g)
        p[f"{name}.bias"] = 0.1 * torch.randn(1, dim, generator=g)

    def feed_forward(name, hidden):
        norm(f"{name}.norm")
        linear(p, f"{name}.rise", dim, hidden, g)
        linear(p, f"{name}.fall", hidden, dim, g)

    tables = (
        ("inputs", vocabulary + 1),
        ("positions", r["history"] + 1),
        ("prefixes", vocabulary + len(widths)),
    )
    # Wider than the product's own start, so that every part weighs in the loss.
    p |= {name: torch.randn(rows, dim, generator=g) * 0.3 for name, rows in tables}
    for layer in range(r["layers"]):
        norm(f"transformer.{layer}.norm")
        for part in ("query", "key", "value", "mix"):
            linear(p, f"transformer.{layer}.{part}", dim, dim, g)
        feed_forward(f"transformer.{layer}.feed_forward", r["hidden"])
    norm("transformer.norm")
    linear(p, "bridge", dim, dim, g)
    for layer in range(r["depth_layers"]):
        feed_forward(f"depth.{layer}", r["depth_hidden"])
    norm("depth.norm")
    for digit, width in enumerate(widths):
        p[f"outputs.{digit}"] = torch.randn(width, dim, generator=g) * dim**-0.5
    return p


class Retriever:
    def __init__(self, config, weights, data):
        self.config, self.p = config["settings"], weights
        self.widths = [*config["layout"]["codebook_sizes"], config["layout"]["suffix"]]
        self.starts = torch.tensor([0, *self.widths[:-1]]).cumsum(0)
        self.codes = data["sids"]
        self.flat = self.codes + self.starts
        self.children = self.tree(data["items"].unique())
        parts = ("query", "key", "value")
        for at in range(self.config["layers"]):
            for kind, axis in (("weight", 0), ("bias", 1)):
                own = [self.p.pop(f"transformer.{at}.{part}.{kind}") for part in parts]
                self.p[f"transformer.{at}.qkv.{kind}"] = torch.cat(own, axis)
        self.parameters = list(self.p.values())

    def tree(self, known):
        """For each digit, the number of every item's prefix and the codes that continue it to the ID
        of an item that is known."""
        levels = []
        for digit, width in enumerate(self.widths):
            if digit == 0:
                prefixes = torch.zeros(len(self.codes), dtype=torch.long)
            else:
                prefixes = self.codes[:, :digit].unique(dim=0, return_inverse=True)[1]
            children = torch.zeros(int(prefixes.max()) + 1, width, dtype=torch.bool)
            children[prefixes[known], self.codes[known, digit]] = True
            levels.append((prefixes, children))
        return levels

    def prepare(self, data, first, last):
        """The indices and masks of the sequences from `first` to `last`."""
        offsets = data["offsets"][first : last + 1]
        lengths = offsets.diff()
        targets = data["items"][offsets[0] : offsets[-1]]
        start = torch.full((1, len(self.widths)), sum(self.widths))
        rows, positions, places = [], [], []
        for at, items in enumerate(targets.split(lengths.tolist())):
            rows += [start, self.flat[items[:-1]]]
            positions.append(torch.arange(len(items)))
            places.append(positions[-1] + at * int(lengths.max()))
        return {
            "bags": torch.cat(rows),
            "positions": torch.cat(positions),
            "places": torch.cat(places),
            "padded": (len(lengths), int(lengths.max())),
            **self.digits(targets),
        }

    def digits(self, targets):
        """The rows that choose on each digit, behind one another, and what they choose among. An
        only child is no choice."""
        chosen, prefixes, masks, codes = [], [], [], []
        vocabulary = sum(self.widths)
        for digit, (prefix, children) in enumerate(self.children):
            among = children[prefix[targets]]
            rows = ((among.sum(1) > 1) | (digit == 0)).nonzero().view(-1)
            items = targets[rows]
            next_digit = torch.full((len(rows), 1), vocabulary + digit)
            chosen.append(rows)
            prefixes.append(torch.cat([self.flat[items, :digit], next_digit], 1))
            masks.append(~among[rows])
            codes.append(self.codes[items, digit])
        lengths = torch.cat([torch.full((len(bag),), bag.shape[1]) for bag in prefixes])
        return {
            "chosen": torch.cat(chosen),
            "prefixes": torch.cat([bag.view(-1) for bag in prefixes]),
            "prefix_starts": lengths.cumsum(0) - lengths,
            "counts": [len(rows) for rows in chosen],
            "masks": masks,
            "codes": codes,
            "scale": 1 / (len(targets) * len(self.widths)),
        }

    def linear(self, x, name):
        return F.linear(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"].view(-1))

    def norm(self, x, name):
        gain, bias = self.p[f"{name}.gain"].view(-1), self.p[f"{name}.bias"].view(-1)
        return F.layer_norm(x, gain.shape, gain, bias, 1e-5)

    def dropout(self, x):
        return F.dropout(x, self.config["dropout"]) if self.config["dropout"] > 0 else x

    def feed_forward(self, x, name):
        hidden = self.linear(self.norm(x, f"{name}.norm"), f"{name}.rise")
        hidden = F.gelu(hidden, approximate="tanh")
        return x + self.dropout(self.linear(hidden, f"{name}.fall"))

    def attention(self, x, name, b):
        """Causal, so that no row sees the padding behind its sequence."""
        (sequences, longest), heads = b["padded"], self.config["heads"]
        qkv = self.linear(self.norm(x, f"{name}.norm"), f"{name}.qkv")
        padded = qkv.new_zeros(sequences * longest, qkv.shape[1]).index_copy(0, b["places"], qkv)
        q, k, v = padded.view(sequences, longest, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        seen = F.embedding(b["places"], seen.transpose(1, 2).reshape(sequences * longest, -1))
        return x + self.dropout(self.linear(seen, f"{name}.mix"))

    def loss(self, b):
        x = F.embedding_bag(b["bags"], self.p["inputs"], mode="sum")
        x = self.dropout(x + F.embedding(b["positions"], self.p["positions"]))
        for layer in range(self.config["layers"]):
            x = self.attention(x, f"transformer.{layer}", b)
            x = self.feed_forward(x, f"transformer.{layer}.feed_forward")
        contexts = self.linear(self.norm(x, "transformer.norm"), "bridge")
        x = F.embedding(b["chosen"], contexts)
        x = x + F.embedding_bag(b["prefixes"], self.p["prefixes"], b["prefix_starts"], mode="sum")
        for layer in range(self.config["depth_layers"]):
            x = self.feed_forward(x, f"depth.{layer}")
        loss = 0
        states = self.norm(x, "depth.norm").split(b["counts"])
        for digit, (of_digit, mask, codes) in enumerate(zip(states, b["masks"], b["codes"])):
            logits = F.linear(of_digit, self.p[f"outputs.{digit}"]).masked_fill(mask, -torch.inf)
            loss = loss + F.cross_entropy(logits, codes, reduction="sum")
        return loss * b["scale"]


def model_of(config, weights, data):
    retriever = Retriever(config, weights, data)
    batch = config["settings"]["fit"]["batch_size"]
    starts = range(0, len(data["offsets"]) - 1, batch)
    prepared = [retriever.prepare(data, start, start + batch) for start in starts]
    return retriever.parameters, prepared, retriever.loss


if __name__ == "__main__":
    run(__doc__, SHAPES, make, model_of)
