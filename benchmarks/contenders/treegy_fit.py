"""treegy, as users call it."""

import functools
import io
import os
import sys
from typing import Any

import jax
import numpy as np
import optax
from workloads import Work

import treegy as tg
from treegy._data._shuffle import key_data_of, order

from . import Contender
from .networks import equinox_network

_SEED = 42


def order_of_first_epoch(examples: int) -> np.ndarray:
    """The order in which `fit` shuffles: handed to all others, so that all see the same batches."""
    return order(key_data_of(jax.random.key(_SEED)), 0, examples, 0, examples).astype(np.int64)


@functools.cache
def _adam(learning_rate: float) -> Any:
    """One optimizer for all models, which share programs then."""
    return optax.adam(learning_rate)


class Treegy(Contender):
    """`fit` with what it does by default, but silent."""

    verbose: Any = 0

    def __init__(self, work: Work):
        super().__init__(work)
        self.initial = tg.Model(
            equinox_network(work.layers),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=tg.metrics.SparseCategoricalAccuracy(),
            optimizer=_adam(work.learning_rate),
            seed=_SEED,
        )
        self.model = self.initial

    def reset(self) -> None:
        self.model = self.initial

    def fit(self) -> float:
        work = self.work
        if work.source == "generator":
            self.model, history = self.model.fit(work.batches(), verbose=self.verbose)
        else:
            self.model, history = self.model.fit(work.x, work.y, batch_size=work.batch_size, verbose=self.verbose)
        jax.block_until_ready(self.model.parameters)
        return history["loss"][-1]

    def evaluate(self) -> tuple[float, float]:
        work = self.work
        logs = self.model.evaluate(work.x, work.y, batch_size=work.batch_size, verbose=self.verbose)
        return logs["loss"], logs["sparse_categorical_accuracy"]

    def predict(self) -> Any:
        work = self.work
        return jax.block_until_ready(self.model.predict(work.x, batch_size=work.batch_size, verbose=self.verbose))

    def logits(self, x: np.ndarray) -> Any:
        return jax.vmap(self.model.module)(x)


class TreegyWithProgress(Treegy):
    """The same with a live bar, in a terminal that throws away what it is told."""

    verbose = 1

    def run(self) -> Any:
        before, sys.stdout = sys.stdout, _NullTerminal()
        term = os.environ.get("TERM")
        os.environ["TERM"] = "xterm-256color"
        try:
            return super().run()
        finally:
            sys.stdout = before
            if term is None:
                del os.environ["TERM"]
            else:
                os.environ["TERM"] = term


class _NullTerminal(io.TextIOBase):
    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)
