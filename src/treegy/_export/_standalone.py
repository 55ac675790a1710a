"""Loads the model that was exported into this directory. It needs jax, numpy and flatbuffers, and nothing else.

`from load import load`, then `predict = load()` and `y_pred = predict(x)`.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np


def load(directory: Path = Path(__file__).parent) -> Callable[[Any], Any]:
    """Return what the model predicts as a function of a batch `x`. Everything is compared with its checksum."""
    manifest = json.loads((directory / "exported.json").read_bytes())
    checksum = manifest.pop("checksum")
    if checksum != hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest():
        raise ValueError(f"'{directory / 'exported.json'}' is damaged.")
    if manifest["byteorder"] != sys.byteorder:
        raise ValueError(f"'{directory}' comes from a machine with another order of bytes.")
    arrays: dict[str, Any] = {}
    with (directory / manifest["data"]["file"]).open("rb") as file:
        for leaf in manifest["leaves"]:
            file.seek(leaf["offset"])
            content = file.read(leaf["length"])
            if hashlib.sha256(content).hexdigest() != leaf["sha256"]:
                raise ValueError(f"'{file.name}' is damaged: the bytes of `{leaf['path']}` are not those written.")
            arrays[leaf["path"]] = np.ndarray(leaf["shape"], jnp.dtype(leaf["dtype"]), content)
    program = jax.export.deserialize(bytearray(arrays.pop("program")))
    parameters, call = jax.device_put(arrays), jax.jit(program.call)
    return lambda x: call(parameters, x)
