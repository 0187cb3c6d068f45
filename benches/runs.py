"""What the drivers of this folder share: which binary they time, and how a command is run."""

import json
import subprocess
import sys
from pathlib import Path

DEFAULT_DAS = Path(__file__).resolve().parent.parent / "target" / "release" / "das"


def run_json(command):
    """Run a command; the JSON that it prints, whole or as its last line."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}: {' '.join(command)}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return json.loads(done.stdout.strip().splitlines()[-1])
