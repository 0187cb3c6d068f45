#!/usr/bin/env python3
"""The DAS step of `torch_step.py` in the shapes of real data sets.

    benches/torch_shapes.py TORCH_STEP make DIR --shape beauty-1024|beauty-2048|beauty-4096
    benches/torch_shapes.py TORCH_STEP train|golden DIR ...

TORCH_STEP is the yardstick script; everything after it is passed on, and its own shapes stay. The
number in a name is the batch. Needs what the script needs: torch, numpy and safetensors.
"""

import importlib.util
import sys

# 384 dimensions are those of a small sentence encoder, the encoder and the codes are the product's
# defaults, the tables have the users and items of Amazon Beauty.
BEAUTY = ([384, 256, 128, 32], 256, {"u": 22_363, "i": 12_101})
SHAPES = {f"beauty-{batch}": (batch, *BEAUTY) for batch in (1024, 2048, 4096)}


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    spec = importlib.util.spec_from_file_location("torch_step", sys.argv.pop(1))
    torch_step = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(torch_step)
    torch_step.SHAPES.update(SHAPES)
    torch_step.main()


if __name__ == "__main__":
    main()
