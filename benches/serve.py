#!/usr/bin/env python3
"""Puts `das serve` under load from a second process, at a rate that does not wait for answers.

    cargo build --release && cargo build --release -p das-serve --example load
    benches/serve.py RUN [--seconds 600] [--methods lookup encode] [--das DAS] [--load LOAD] > load.jsonl
    benches/serve.py RUN --against venv/bin/python [--rounds 5] [--seconds 60] > peer.jsonl

The first form measures, for lookups of 100 ids and encodes of 16 vectors: what the service can do (closed loop), the
latencies at 70 % of it, and at twice it, where the rest is to be refused at once. The second compares encoding with
`fastapi_encode.py` over the same artifact, JSON and client: capacities in turn, medians of rounds, then latencies of both at 70 % of
the lesser. PYTHON needs torch, safetensors, fastapi and uvicorn, this driver numpy and pyarrow.

`ms` counts from the moment at which a request was due, so a service that stalls is charged for what it kept waiting;
`ms_since_sent` does not, and `ms_own_delay` is what the generator (`crates/serve/examples/load.rs`) was late by itself. Both ends share the
machine. A line of JSON a measurement; `memory_mib` is the resident size of the service before it, after a sixth of its time, at its
end, and at most.
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from runs import DEFAULT_DAS

METHODS = ["lookup", "encode"]
IDS, VECTORS = 100, 16
# Different bodies that requests are drawn from.
BODIES = 1000
# Connections of a closed loop, of an open one, and of one that overloads.
CLOSED, OPEN, FLOOD = 16, 64, 256
SHARE = 0.7


class Service:
    """A process that listens, and its memory over time."""

    def __init__(self, name, process, url):
        self.name, self.process, self.url = name, process, url

    def resident(self):
        """Resident size in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    @contextlib.contextmanager
    def watched(self):
        """Memory while the block runs: before it, after a sixth of it, at its end, and at most."""
        sizes, stop = [self.resident()], threading.Event()

        def watch():
            while not stop.wait(0.5):
                sizes.append(self.resident())

        thread = threading.Thread(target=watch)
        thread.start()
        memory = []
        try:
            yield memory
        finally:
            stop.set()
            thread.join()
            sizes.append(self.resident())
            told = sizes[0], sizes[len(sizes) // 6], sizes[-1], max(sizes)
            memory += [round(size, 1) for size in told]


@contextlib.contextmanager
def serving(name, command, ready):
    """A service whose output says `ready` with its address once it listens."""
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if found := re.search(ready, line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield Service(name, process, found[1])
                return
        sys.exit(f"{name} ended before it listened")
    finally:
        process.terminate()
        process.wait()


def das(options):
    # Only what a request does is measured, not that of a watched folder.
    command = [options.das, "serve", "--run", options.run, "--listen", "127.0.0.1:0", "--watch", "0"]
    online = Path(tempfile.mkdtemp()) / "online.redb"
    return serving("das", [*command, "--online", online], r"serving on (\S+);")


def fastapi(options):
    script = Path(__file__).with_name("fastapi_encode.py")
    command = [options.against, script, artifact_of(options.run), "--port", options.port]
    return serving("fastapi", command, r"running on (\S+)")


def artifact_of(run):
    return run if (run / "manifest.json").exists() else run / "artifact"


def write_bodies(options, folder):
    """Files of bodies, a line each: of lookups and of encodes."""
    generator = np.random.default_rng(0)
    ids = pq.read_table(artifact_of(options.run) / "item_sids.parquet").column(0).to_numpy()
    manifest = json.loads((artifact_of(options.run) / "manifest.json").read_text())
    width = manifest["sides"]["item"]["content_dim"]
    lookups = (generator.choice(ids, IDS).tolist() for _ in range(BODIES))
    vectors = (generator.standard_normal((VECTORS, width)).astype(np.float32) for _ in range(BODIES))
    bodies = {
        "lookup": [{"ids": ids} for ids in lookups],
        # The shortest decimal that is the same float32, as a client would send it.
        "encode": [{"vectors": [[float(str(x)) for x in row] for row in rows]} for rows in vectors],
    }
    for method, rows in bodies.items():
        (folder / method).write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(options, service, method, bodies, seconds, connections, rate=None):
    """What the generator says after so many seconds; at a rate, or as fast as answers come."""
    address = service.url.removeprefix("http://")
    command = [options.load, address, f"/v1/{method}", "--bodies", bodies / method]
    command += ["--seconds", seconds, "--connections", connections]
    if rate:
        command += ["--rate", rate]
    with service.watched() as memory:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return {"service": service.name, "method": method, **json.loads(done.stdout), "memory_mib": memory}


def say(stage, figures):
    print(json.dumps({"stage": stage, **figures}), flush=True)
    return figures


def alone(options, bodies):
    """Capacity, 70 % of it, and twice it, of both methods."""
    with das(options) as service:
        for method in options.methods:
            load(options, service, method, bodies, 3, CLOSED)
            capacity = say("capacity", load(options, service, method, bodies, 20, CLOSED))["answered_a_second"]
            say("70 %", load(options, service, method, bodies, options.seconds, OPEN, SHARE * capacity))
            say("200 %", load(options, service, method, bodies, 60, FLOOD, 2 * capacity))


def against(options, bodies):
    """Encoding by both services in turn."""
    with das(options) as ours, fastapi(options) as theirs:
        services = [ours, theirs]
        check_codes(services, bodies)
        rates = {service.name: [] for service in services}
        for number in range(options.rounds):
            for service in services if number % 2 == 0 else services[::-1]:
                found = load(options, service, "encode", bodies, 10, CLOSED)
                rates[service.name].append(found["answered_a_second"])
                say("capacity", found)
        medians = {name: statistics.median(values) for name, values in rates.items()}
        p99 = {}
        for service in services:
            rate = SHARE * min(medians.values())
            found = say("same rate", load(options, service, "encode", bodies, options.seconds, OPEN, rate))
            p99[service.name] = found["ms"]["p99"]
        say("ratio", {"throughput": medians["das"] / medians["fastapi"], "p99": p99["das"] / p99["fastapi"]})


def check_codes(services, bodies):
    """Both must find the same codes, but for ties that rounding decides."""
    equal = total = 0
    for body in (bodies / "encode").read_text().splitlines()[:100]:
        found = []
        for service in services:
            headers = {"content-type": "application/json"}
            request = urllib.request.Request(f"{service.url}/v1/encode", body.encode(), headers)
            found.append(json.load(urllib.request.urlopen(request))["codes"])
        equal += sum(a == b for a, b in zip(*found))
        total += len(found[0])
    if equal < 0.999 * total:
        sys.exit(f"the services agree on {equal} of {total} vectors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--das", type=Path, default=DEFAULT_DAS)
    parser.add_argument("--load", type=Path, default=DEFAULT_DAS.with_name("examples") / "load")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--against", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=8081)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder)
        write_bodies(options, bodies)
        (against if options.against else alone)(options, bodies)


if __name__ == "__main__":
    main()
