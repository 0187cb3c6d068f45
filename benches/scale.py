#!/usr/bin/env python3
"""Measure how training grows with interactions, users and items.

    benches/scale.py OUT.jsonl [--rounds 3] [--plot OUT.svg] [--das DAS] [--steps 50] [--threads 2]

Runs `das bench scale` over a grid, each point in a process of its own: growing numbers of
interactions at one number of entities, and growing numbers of entities at one number of
interactions. An entity count stands for that many users and as many items. Each record is a line
of OUT.jsonl; records that stand there already count as rounds before, so `--rounds 0` only prints
the table and draws the picture again. Figures are medians over rounds.

This driver needs the standard library alone. The largest points write some gigabytes to TMPDIR.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

from runs import DEFAULT_DAS, run_json

# The columns of the table, and how their figures are written.
COLUMNS = [
    ("interactions", "{:,}"),
    ("users and items, each", "{:,}"),
    ("prepare s", "{:.2f}"),
    ("ms a step", "{:.1f}"),
    ("µs a sample", "{:.1f}"),
    ("of it drawing", "{:.2f}"),
    ("peak MB of training", "{:,.0f}"),
    ("with a checkpoint", "{:,.0f}"),
    ("and mapped content", "{:,.0f}"),
]


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = lambda text: int(float(text))
    parser.add_argument("out", type=Path)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--clicks", type=count, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--entities", type=count, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--at-clicks", type=count, default=10**6)
    parser.add_argument("--at-entities", type=count, default=10**5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--content-dim", type=int, default=64)
    options = parser.parse_args()
    if options.rounds < 0:
        parser.error("--rounds: expected at least 0")
    return options


def grid(options):
    """(interactions, entities) of both series, without repetition."""
    by_clicks = [(clicks, options.at_entities) for clicks in options.clicks]
    by_entities = [(options.at_clicks, entities) for entities in options.entities]
    return by_clicks, by_entities, list(dict.fromkeys(by_clicks + by_entities))


def measure(options, clicks, entities):
    sizes = {
        "clicks": clicks,
        "users": entities,
        "items": entities,
        "steps": options.steps,
        "batch": options.batch,
        "threads": options.threads,
        "content-dim": options.content_dim,
    }
    flags = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    command = [str(options.das), "bench", "scale", "--json", *flags]
    return run_json(command)


def read(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def figures(record):
    """The columns of the table after the sizes; memory is None where the system does not tell."""
    phases = {phase["name"]: phase for phase in record["phases"]}

    def memory(phase, name):
        found = phases[phase]["memory"]
        return found and found[name]

    return [
        phases["prepare"]["seconds"],
        record["ms_per_step"],
        record["us_per_sample"],
        record["draw_us_per_sample"],
        memory("steps", "private_peak_mb"),
        memory("checkpoint", "private_peak_mb"),
        memory("checkpoint", "peak_mb"),
    ]


def medians(records, options):
    """Medians over the records of each point that were taken with these options."""
    setup = ("steps", "batch", "threads", "content_dim")
    rows = {}
    for record in records:
        if all(record[name] == getattr(options, name) for name in setup):
            rows.setdefault((record["clicks"], record["users"]), []).append(figures(record))
    middle = lambda values: None if None in values else statistics.median(values)
    return {point: [middle(column) for column in zip(*of)] for point, of in rows.items()}


def table(points, found):
    line = lambda cells: "| " + " | ".join(cells) + " |"
    show = lambda form, value: "–" if value is None else form.format(value)
    lines = [line([name for name, _ in COLUMNS]), "|" + "---:|" * len(COLUMNS)]
    for point in points:
        if point in found:
            forms = (form for _, form in COLUMNS)
            lines.append(line(list(map(show, forms, [*point, *found[point]]))))
    return "\n".join(lines)


# --- The picture: two panels with logarithmic axes, in the colours of the reader's theme.

WIDTH, HEIGHT = 860, 360
PANEL_WIDTH, PANEL_HEIGHT, TOP = 330, 230, 50
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 13px; }
  .axis { stroke: #6e7781; fill: none; }
  .grid { stroke: #d0d7de; stroke-width: 0.6; }
  .guide { stroke: #6e7781; stroke-dasharray: 4 4; fill: none; }
  .clicks { stroke: #0969da; } .entities { stroke: #bc4c00; }
  polyline { fill: none; stroke-width: 2; }
  .dot.clicks { fill: #0969da; } .dot.entities { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .axis, .guide { stroke: #8b949e; } .grid { stroke: #30363d; }
    .clicks { stroke: #58a6ff; } .entities { stroke: #f0883e; }
    .dot.clicks { fill: #58a6ff; } .dot.entities { fill: #f0883e; }
  }
"""


class Axis:
    """A logarithmic axis over whole decades, from a value to a place."""

    def __init__(self, values, start, length):
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self.start, self.length = start, length

    def at(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * self.length

    def ticks(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def power_of_ten(value):
    """Small powers as they are, large ones with an exponent."""
    power = round(math.log10(value))
    if power <= 3:
        return f"{value:g}"
    return f'10<tspan dy="-5" font-size="9">{power}</tspan>'


def guide(x, y, point):
    """A line of slope 1 that ends at `point`: what lies above it grows less than linearly."""
    at, value = point
    start = max(10.0**x.low, at * 10.0**y.low / value)
    places = [(x.at(at), y.at(value)) for at, value in [(start, value * start / at), point]]
    return "M" + "L".join(f"{across:.1f} {up:.1f}" for across, up in places)


def panel(left, title, unit, series, linear):
    """One panel; `series` is a list of (class, [(x, y), …]). `linear` adds guides of slope 1."""
    points = [point for _, of in series for point in of]
    x = Axis([at for at, _ in points], left, PANEL_WIDTH)
    y = Axis([value for _, value in points], TOP + PANEL_HEIGHT, -PANEL_HEIGHT)
    right, bottom = left + PANEL_WIDTH, TOP + PANEL_HEIGHT
    parts = [f'<text class="title" x="{left}" y="{TOP - 14}">{title}</text>']
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}"/>')
        label = power_of_ten(tick)
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        label = power_of_ten(tick)
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<path class="axis" d="M{left} {TOP}V{bottom}H{right}"/>')
    middle, upright = TOP + PANEL_HEIGHT / 2, left - 48
    parts.append(f'<text x="{left + PANEL_WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">'
                 "interactions, or users and items each</text>")
    parts.append(f'<text x="{upright}" y="{middle}" text-anchor="middle" '
                 f'transform="rotate(-90 {upright} {middle})">{unit}</text>')
    for name, of in series:
        places = [(x.at(at), y.at(value)) for at, value in of]
        line = " ".join(f"{at:.1f},{value:.1f}" for at, value in places)
        parts.append(f'<polyline class="{name}" points="{line}"/>')
        if linear:
            parts.append(f'<path class="guide" d="{guide(x, y, of[-1])}"/>')
        parts += [f'<circle class="dot {name}" cx="{at:.1f}" cy="{value:.1f}" r="3.5"/>'
                  for at, value in places]
    return parts


def legend(options):
    texts = [
        ("clicks", f"more interactions, {options.at_entities:,} users and items each"),
        ("entities", f"more users and items, {options.at_clicks:,} interactions"),
    ]
    parts, y = [], HEIGHT - 16
    for at, (name, text) in enumerate(texts):
        x = 80 + at * 400
        parts.append(f'<line class="{name}" stroke-width="2" x1="{x}" y1="{y - 4}" '
                     f'x2="{x + 24}" y2="{y - 4}"/>')
        parts.append(f'<text x="{x + 32}" y="{y}">{text}</text>')
    return parts


def picture(options, by_clicks, by_entities, found):
    """The figure as SVG. Where the time of a sample is level, training grows linearly."""

    def series(column):
        of = lambda points, axis: sorted(
            (point[axis], found[point][column])
            for point in points if point in found and found[point][column] is not None
        )
        both = [("clicks", of(by_clicks, 0)), ("entities", of(by_entities, 1))]
        return [(name, points) for name, points in both if points]

    panels = [
        (80, "Time a training sample", "µs a sample", series(2), False),
        (500, "Peak memory (dashed: linear)", "private resident MB", series(5), True),
    ]
    # Without a figure there is no panel: memory is known on Linux alone.
    parts = [part for given in panels if given[3] for part in panel(*given)]
    body = "\n".join(parts + legend(options))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img">\n<title>Time a sample and peak memory '
            f"against interactions and entities</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n")


def main():
    options = arguments()
    by_clicks, by_entities, points = grid(options)
    for number in range(options.rounds):
        # The order turns from round to round, so that no point always meets the same neighbour.
        for clicks, entities in points if number % 2 == 0 else reversed(points):
            record = measure(options, clicks, entities)
            with options.out.open("a") as out:
                out.write(json.dumps(record) + "\n")
            print(f"{clicks:>11,} interactions {entities:>10,} entities "
                  f"{record['us_per_sample']:>8.1f} µs a sample", file=sys.stderr, flush=True)
    found = medians(read(options.out), options)
    if not found:
        sys.exit(f"{options.out}: no record of these settings")
    print(table(points, found))
    if options.plot:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(picture(options, by_clicks, by_entities, found))


if __name__ == "__main__":
    main()
