"""A linear layer for four numbers, and short runs with an optimizer."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

import treegy as tg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
MSE = tg.losses.MeanSquaredError()


def linear() -> eqx.nn.Linear:
    return eqx.nn.Linear(4, 1, key=jax.random.key(0))


def fit(model: Any, *data: Any, **arguments: Any) -> Any:
    return model.fit(*(data or (X, Y)), **{"batch_size": 12, "epochs": 3, "verbose": 0, **arguments})


def same(a: Any, b: Any, rtol: float = 1e-4) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)
