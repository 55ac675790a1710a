"""A network for four numbers, and short runs of it."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax

import treegy as tg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
SGD = optax.sgd(0.05)
MSE = tg.losses.MeanSquaredError()


def make_model(**fields: Any) -> Any:
    net = eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0))
    given: Any = {"loss": MSE, "optimizer": SGD, **fields}
    return tg.Model(net, **given)


def fit(model: Any, *data: Any, **arguments: Any) -> Any:
    return model.fit(*(data or (X, Y)), **{"batch_size": 8, "epochs": 3, "verbose": 0, **arguments})
