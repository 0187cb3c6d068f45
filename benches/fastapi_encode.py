#!/usr/bin/env python3
"""What a team would write in Python to encode items online: FastAPI, uvicorn and PyTorch, with the weights of an artifact.

    benches/fastapi_encode.py runs/first/artifact --port 8081

Answers `POST /v1/encode` with the same JSON as `das serve`: {"vectors": [[…], …]} → {"version": …, "codes": [[…], …]}.
Needs torch, safetensors, fastapi and uvicorn. Two threads, no autograd, one process: requests are
encoded one after another, each as the batch that it is.
"""

import argparse
import json
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from safetensors.torch import load_file


class Encoder(torch.nn.Module):
    """An encoder of linear layers with ReLU between them, and residual codebooks."""

    def __init__(self, tensors, side):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        while f"{side}.encoder.{len(self.layers)}.weight" in tensors:
            name = f"{side}.encoder.{len(self.layers)}"
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data, layer.bias.data = weight, bias
            self.layers.append(layer)
        self.codebooks = []
        while f"{side}.codebook.{len(self.codebooks)}" in tensors:
            self.codebooks.append(tensors[f"{side}.codebook.{len(self.codebooks)}"])

    def forward(self, x):
        for at, layer in enumerate(self.layers):
            x = layer(x if at == 0 else torch.relu(x))
        codes = []
        for book in self.codebooks:
            code = torch.cdist(x, book).argmin(dim=1)
            x = x - book[code]
            codes.append(code)
        return torch.stack(codes, dim=1)


class EncodeRequest(BaseModel):
    """The body of `POST /v1/encode`."""

    vectors: list[list[float]]


def app_of(artifact):
    """The application over an artifact's item encoder."""
    encoder = Encoder(load_file(artifact / "model.safetensors"), "item")
    version = json.loads((artifact / "manifest.json").read_text())["id_space"][:16]
    width = encoder.layers[0].in_features
    app = FastAPI()

    @app.post("/v1/encode")
    def encode(request: EncodeRequest):
        x = torch.tensor(request.vectors, dtype=torch.float32)
        if x.ndim != 2 or x.shape[1] != width or not torch.isfinite(x).all():
            raise HTTPException(400, f"expected finite vectors of width {width}")
        with torch.inference_mode():
            return {"version": version, "codes": encoder(x).tolist()}

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--port", type=int, default=8081)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    uvicorn.run(app_of(arguments.artifact), port=arguments.port, access_log=False)


if __name__ == "__main__":
    main()
