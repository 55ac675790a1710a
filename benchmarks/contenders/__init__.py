"""Ways of training, by name. A library is imported when one of its contenders is asked for."""

import importlib
from typing import Any

import numpy as np
from workloads import Work

_WHERE = {
    "treegy": ("treegy_fit", "Treegy"),
    "treegy, progress": ("treegy_fit", "TreegyWithProgress"),
    "hand-written": ("equinox_loops", "HandWritten"),
    "flat": ("equinox_loops", "Flat"),
    "scan": ("equinox_loops", "Scan"),
    "Keras": ("keras_jax", "Keras"),
    "Keras, 32 steps": ("keras_jax", "Keras32"),
    "Flax NNX": ("flax_nnx", "Nnx"),
    "PyTorch": ("pytorch", "Torch"),
}

OURS = ["treegy", "treegy, progress"]
OTHERS = [name for name in _WHERE if name not in OURS]


class Contender:
    """One way of training one workload. What is made in `__init__` and `reset` isn't timed."""

    def __init__(self, work: Work):
        self.work = work

    @classmethod
    def does(cls, work: Work) -> bool:
        """Whether it takes part in a workload."""
        return True

    def reset(self) -> None:
        """Go back to the initial weights."""

    def fit(self) -> float:
        """Train for one epoch, and wait for it. Returns the epoch's mean loss, NaN if it isn't logged."""
        raise NotImplementedError

    def evaluate(self) -> tuple[float, float]:
        """The loss and the accuracy over all examples."""
        raise NotImplementedError

    def predict(self) -> Any:
        """The logits of all examples."""
        raise NotImplementedError

    def logits(self, x: np.ndarray) -> Any:
        """The logits of some examples, with the weights as they are now."""
        raise NotImplementedError

    def run(self) -> Any:
        """What is timed."""
        return getattr(self, self.work.task)()


def contender(name: str) -> type[Contender]:
    """**Raises:** `ImportError` if its library isn't installed."""
    module, cls = _WHERE[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)


def present(names: list[str]) -> tuple[dict[str, type[Contender]], dict[str, str]]:
    """**Returns:**

    `(found, absent)`: contenders, and why the others can't take part.
    """
    found: dict[str, type[Contender]] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            found[name] = contender(name)
        except ImportError as e:
            absent[name] = str(e)
    return found, absent
