"""What several files of tests use: where the project is, small data, models and runs, and scripts.

`make_model`, `fit`, `same` and `Faked` are for what happens around training: callbacks, loggers, what is saved.
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent


def mostly_slow(cases: Sequence[Any], every: int = 3) -> list[Any]:
    """Cases of `parametrize` of which the first of every few is tested always, and the others where `slow` is."""
    return [case if i % every == 0 else _slow(case) for i, case in enumerate(cases)]


def _slow(case: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def linear(inputs: int = 3, outputs: int = 2, seed: int = 0) -> eqx.nn.Linear:
    return eqx.nn.Linear(inputs, outputs, key=jax.random.key(seed))


def predicted(module: eqx.nn.Linear, x: Any) -> np.ndarray:
    """What a linear layer makes of a batch, by NumPy."""
    return x @ np.asarray(module.weight).T + np.asarray(module.bias)


class Same(eqx.Module):
    """Predicts what it is given."""

    def __call__(self, x: Any) -> Any:
        return x


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    """A structure of data."""

    a: Any
    b: Any


class Node(eqx.Module):
    """A structure of data."""

    a: Any
    b: Any


class MSE(tg.Loss):
    """A loss as users write it. Its name in the logs is `mse_loss`."""

    def call(self, y_true, y_pred):
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


# Twenty examples, of which a batch has five, for a network of two layers.
X, Y = numbers(20, 3), numbers(20, 2, seed=1)
# Its users are marked `standard_promotion`: Optax's Adam promotes dtypes.
ADAM = optax.adam(1e-2)


def make_model(optimizer: Any = ADAM, width: int = 5, **fields: Any) -> tg.Model[Any]:
    net = eqx.nn.MLP(3, 2, width, 1, key=jax.random.key(0))
    return tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=optimizer, **fields)


def fit(*use: Any, model: Any = None, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    """A short run with these callbacks."""
    arguments = {"batch_size": 5, "epochs": 3, "verbose": 0, **arguments}
    return (model or make_model()).fit(X, Y, callbacks=list(use), **arguments)


def same(a: Any, b: Any) -> bool:
    """Whether the numbers that are trained are the same in two PyTrees of one structure."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs if eqx.is_inexact_array(x))


class Faked(tg.callbacks.Callback):
    """Logs these values, one an epoch."""

    def __init__(self, *values: float, name: str = "score_loss"):
        self.values, self.name = values, name

    def on_epoch_end(self, epoch: int, logs: Any):
        logs[self.name] = self.values[epoch]


class FailingIn(tg.callbacks.Callback):
    """Fails when this epoch begins."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs):
        if epoch == self.epoch:
            raise ZeroDivisionError


def run_script(code: str, *arguments: str, devices: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python in a process of its own, in which `helpers` can be imported, on so many devices."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path}
    if devices is not None:
        flags = f"{env.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
        env |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=env, check=False)
