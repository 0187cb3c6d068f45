#!/usr/bin/env python3
"""One training step of the click ranker in PyTorch: the yardstick for speed, and golden losses.

    benches/torch_ranker.py make   DIR [--shape ml100k|beauty|small] [--dropout RATE]
    benches/torch_ranker.py train  DIR --mode eager|fused|compile [--steps 30] [--threads 2]
    benches/torch_ranker.py golden DIR [--steps 5]      float64 losses as JSON

The maths of `crates/recommend/src/ranker`: embeddings of users, items and context with three
levels of semantic IDs on both sides, target attention over the history, cross layers beside a deep
network, binary cross entropy. Settings are the product's defaults, but for dropout, which is 0 unless asked
for, and ID dropout, which is 0. Every table row takes part in AdamW.

Done as PyTorch does it best: one table for all single-valued features, an item of a batch embedded
and projected once however many histories it is in, keys and values by one layer, attention over
padded histories by `scaled_dot_product_attention`, and all indices prepared before the clock runs.
"""

import torch
import torch.nn.functional as F

from torch_yardstick import linear, run, write

BATCHES = 4
LEVELS = [256, 256, 256]
DEFAULTS = {
    "dim": 16, "attention_dim": 32, "heads": 2, "history": 50, "cross_layers": 2,
    "hidden": [128, 64], "dropout": 0.0, "id_dropout": 0.0,
    "fit": {"batch_size": 1024, "learning_rate": 3e-3, "weight_decay": 0.1, "clip_norm": 5.0},
}
SMALL = {
    "dim": 4, "attention_dim": 8, "history": 6, "hidden": [12, 8],
    "fit": DEFAULTS["fit"] | {"batch_size": 32, "clip_norm": 0.5},
}
# Fields have (name, categories); `clicks` are the mean clicks that a history draws, cut at the most
# that the ranker looks at.
SHAPES = {
    "ml100k": {
        "users": 943, "items": 1682, "clicks": 60, "levels": LEVELS, "settings": DEFAULTS,
        "user_fields": [("age", 12), ("gender", 3), ("occupation", 22)],
        "item_bags": [("attributes", 19)], "context": [("hour", 25), ("weekday", 8)],
    },
    "beauty": {
        "users": 22_363, "items": 12_101, "clicks": 5, "levels": LEVELS, "settings": DEFAULTS,
        "user_fields": [], "item_bags": [("attributes", 2000)], "context": [],
    },
    "small": {
        "users": 40, "items": 30, "clicks": 3, "levels": [8, 8, 8], "settings": DEFAULTS | SMALL,
        "user_fields": [("age", 5)], "item_bags": [("genres", 7)], "context": [("hour", 6)],
    },
}


def make(folder, shape, dropout):
    g = torch.Generator().manual_seed(0)
    config = shape | {"settings": shape["settings"] | {"dropout": dropout}}
    del config["clicks"]
    write(folder, config, make_weights(shape, g), make_rows(shape, g))


def make_weights(shape, g):
    settings, levels = shape["settings"], list(enumerate(shape["levels"]))
    dim, attention = settings["dim"], settings["attention_dim"]
    tables = [("user.id", shape["users"] + 1), ("item.id", shape["items"] + 1)]
    tables += [(f"user.field.{name}", rows) for name, rows in shape["user_fields"]]
    tables += [(f"item.bag.{name}", rows) for name, rows in shape["item_bags"]]
    tables += [(f"context.{name}", rows) for name, rows in shape["context"]]
    tables += [(f"{side}.sid.{level}", rows) for side in ("user", "item") for level, rows in levels]
    # Wider than the product's own start, so that every part weighs in the loss.
    weights = {name: torch.randn(rows, dim, generator=g) * 0.4 for name, rows in tables}
    weights["interest.age"] = torch.randn(settings["history"], attention, generator=g) * 0.4
    user = (1 + len(shape["user_fields"]) + len(levels)) * dim
    item = (1 + len(shape["item_bags"]) + len(levels)) * dim
    for name in ("query", "key", "value"):
        linear(weights, f"interest.{name}", item, attention, g)
    width = user + item + len(shape["context"]) * dim + 3 * attention
    for layer in range(settings["cross_layers"]):
        linear(weights, f"cross.{layer}", width, width, g)
    inputs = width
    for layer, hidden in enumerate(settings["hidden"]):
        linear(weights, f"deep.{layer}", inputs, hidden, g)
        inputs = hidden
    linear(weights, "head", width + inputs, 1, g)
    return weights


def make_rows(shape, g):
    """Users and items with their features, then the impressions of all batches."""
    settings, users, items = shape["settings"], shape["users"], shape["items"]
    rows = BATCHES * settings["fit"]["batch_size"]

    def popular(count, size):
        return (torch.rand(size, generator=g) ** 2 * count).long()

    def ragged(lengths, values):
        offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        return offsets, popular(values, int(offsets[-1]))

    data = {"users": popular(users, rows), "items": popular(items, rows)}
    data["labels"] = (torch.rand(rows, generator=g) < 0.55).long()
    for name, size in shape["context"]:
        data[f"context.{name}"] = popular(size, rows)
    for name, size in shape["user_fields"]:
        data[f"user.field.{name}"] = popular(size, users)
    for name, size in shape["item_bags"]:
        bags = ragged(torch.randint(0, 4, (items,), generator=g), size)
        data[f"item.bag.{name}.offsets"], data[f"item.bag.{name}.values"] = bags
    for side, count in (("user", users), ("item", items)):
        codes = [popular(size, count) for size in shape["levels"]]
        data[f"{side}.sids"] = torch.stack(codes, 1).contiguous()
    lengths = torch.empty(rows).exponential_(1 / shape["clicks"], generator=g).long()
    histories = ragged(lengths.clamp(max=settings["history"]), items)
    data["history.offsets"], data["history.items"] = histories
    return data


class Tables:
    """Tables of single-valued features as one: a row of `index` has one column a feature."""

    def __init__(self, weights, names, columns):
        tables = [weights[name] for name in names]
        starts = torch.tensor([0] + [len(table) for table in tables[:-1]]).cumsum(0)
        self.table = torch.cat(tables)
        self.index = torch.stack(columns, 1) + starts

    def rows(self, index):
        return F.embedding(index, self.table)


class Ranker:
    def __init__(self, config, weights, data):
        self.config, self.p = config["settings"], weights
        self.levels = len(config["levels"])
        self.fields = [name for name, _ in config["user_fields"]]
        self.bags = [name for name, _ in config["item_bags"]]
        self.context = [name for name, _ in config["context"]]
        self.entities(data)
        p = self.p
        # Keys and values of an item by one layer.
        self.kv = {
            part: torch.cat([p[f"interest.key.{part}"], p[f"interest.value.{part}"]], axis)
            for part, axis in (("weight", 0), ("bias", 1))
        }
        joined = ("user.", "item.id", "item.sid", "interest.key", "interest.value")
        own = [values for name, values in p.items() if not name.startswith(joined)]
        self.parameters = [self.users.table, self.items.table, *self.kv.values(), *own]

    def entities(self, data):
        def columns(side, fields):
            ids = torch.arange(1, len(data[f"{side}.sids"]) + 1)
            own = [data[f"{side}.field.{name}"] for name in fields]
            return [ids, *own, *data[f"{side}.sids"].unbind(1)]

        def names(side, fields):
            own = [f"{side}.field.{name}" for name in fields]
            return [f"{side}.id", *own, *(f"{side}.sid.{at}" for at in range(self.levels))]

        self.users = Tables(self.p, names("user", self.fields), columns("user", self.fields))
        self.items = Tables(self.p, names("item", []), columns("item", []))

    def prepare(self, data, rows):
        """The indices of one batch."""
        starts, ends = data["history.offsets"][rows], data["history.offsets"][1:][rows]
        lengths = ends - starts
        longest = max(int(lengths.max()), 1)
        place = torch.arange(longest)
        inside = place < lengths[:, None]
        clicks = data["history.items"][(starts[:, None] + place).where(inside, 0)]
        shown = data["items"][rows]
        unique, back = torch.cat([shown, clicks[inside]]).unique(return_inverse=True)
        padded = torch.zeros(inside.shape, dtype=torch.long)
        padded[inside] = back[len(shown):]
        # A row without clicks looks at a filler, and what it sees is multiplied by 0.
        visible = inside | (place == 0)
        return {
            "users": self.users.index[data["users"][rows]],
            "items": self.items.index[unique],
            "bags": [self.bag(data, name, unique) for name in self.bags],
            "context": [data[f"context.{name}"][rows] for name in self.context],
            "shown": back[: len(shown)],
            "clicks": padded,
            "ages": (lengths[:, None] - 1 - place).where(inside, 0),
            "visible": visible[:, None, None],
            "any": (lengths > 0)[:, None].to(self.users.table),
            "share": (inside / lengths.clamp(min=1)[:, None])[:, None].to(self.users.table),
            "labels": data["labels"][rows].to(self.users.table),
        }

    @staticmethod
    def bag(data, name, items):
        offsets = data[f"item.bag.{name}.offsets"]
        starts, lengths = offsets[items], offsets[items + 1] - offsets[items]
        values = [torch.arange(s, s + n) for s, n in zip(starts.tolist(), lengths.tolist())]
        return data[f"item.bag.{name}.values"][torch.cat(values)], lengths.cumsum(0) - lengths

    def linear(self, x, name):
        return F.linear(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"].view(-1))

    def dropout(self, x):
        return F.dropout(x, self.config["dropout"]) if self.config["dropout"] > 0 else x

    def loss(self, b):
        ids, sids = self.items.rows(b["items"]).split([1, self.levels], 1)
        bags = [
            F.embedding_bag(values, self.p[f"item.bag.{name}"], starts, mode="mean")
            for name, (values, starts) in zip(self.bags, b["bags"])
        ]
        items = torch.cat([ids.flatten(1), *bags, sids.flatten(1)], 1)
        shown = F.embedding(b["shown"], items)
        context = [
            F.embedding(rows, self.p[f"context.{name}"])
            for name, rows in zip(self.context, b["context"])
        ]
        users = self.users.rows(b["users"]).flatten(1)
        x0 = torch.cat([users, shown, *context, *self.interest(b, items, shown)], 1)
        x0 = self.dropout(x0)
        crossed = x0
        for layer in range(self.config["cross_layers"]):
            crossed = torch.addcmul(crossed, x0, self.linear(crossed, f"cross.{layer}"))
        deep = x0
        for layer in range(len(self.config["hidden"])):
            deep = self.dropout(F.relu(self.linear(deep, f"deep.{layer}")))
        logits = self.linear(torch.cat([crossed, deep], 1), "head").view(-1)
        return F.binary_cross_entropy_with_logits(logits, b["labels"])

    def interest(self, b, items, shown):
        heads, width = self.config["heads"], self.config["attention_dim"]
        kv = F.linear(items, self.kv["weight"], self.kv["bias"].view(-1))
        keys, values = F.embedding(b["clicks"], kv).split(width, -1)
        keys = keys + F.embedding(b["ages"], self.p["interest.age"])
        split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
        queries = self.linear(shown, "interest.query")[:, None]
        seen = F.scaled_dot_product_attention(
            split(queries), split(keys), split(values), attn_mask=b["visible"]
        )
        seen = seen.flatten(1) * b["any"]
        own = F.embedding(b["shown"], kv[:, width:])
        return seen, seen * own, torch.bmm(b["share"], values).squeeze(1)


def model_of(config, weights, data):
    ranker = Ranker(config, weights, data)
    batch = config["settings"]["fit"]["batch_size"]
    starts = range(0, len(data["labels"]), batch)
    prepared = [ranker.prepare(data, torch.arange(start, start + batch)) for start in starts]
    return ranker.parameters, prepared, ranker.loss


if __name__ == "__main__":
    run(__doc__, SHAPES, make, model_of)
