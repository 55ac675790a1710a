"""A model of one linear layer, ten examples for it, and how models are compared."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import treegy as tg
from helpers import linear, numbers

X, Y, WEIGHT = numbers(10, 3), numbers(10, 2, seed=1), np.linspace(0, 2, 10, dtype="f4")


def mlp(depth: int = 1, seed: int = 0) -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 2, 4, depth, key=jax.random.key(seed))


# One object, so that tests share compiled programs.
SGD = optax.sgd(0.1, momentum=0.9)


def regression(module: Any = None, **fields: Any) -> tg.Model[Any]:
    fields = {"loss": tg.losses.MeanSquaredError(), "optimizer": SGD, **fields}
    return tg.Model(linear() if module is None else module, **fields)


def fitted(model: Any, x: Any = X, y: Any = Y, **arguments: Any) -> Any:
    return model.fit(x, y, **{"batch_size": 4, "verbose": 0, **arguments})[0]


def identical(a: Any, b: Any) -> bool:
    """Whether two PyTrees are of one structure and the same to the last bit."""
    words = lambda leaf: jax.random.key_data(leaf) if eqx.is_array(leaf) and is_key(leaf) else leaf  # noqa: E731
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    for x, y in zip(map(words, jax.tree.leaves(a)), map(words, jax.tree.leaves(b)), strict=True):
        same = np.asarray(x).tobytes() == np.asarray(y).tobytes() and x.dtype == y.dtype if eqx.is_array(x) else x == y
        if not same:
            return False
    return True


def arrays(tree: Any) -> Any:
    return eqx.filter(tree, eqx.is_array)


def predicted(module: Any, x: np.ndarray = X) -> np.ndarray:
    return np.float64(x) @ np.asarray(module.weight, np.float64).T + np.asarray(module.bias, np.float64)


def moments(model: tg.Model[Any]) -> Any:
    """Those of `optax.sgd(momentum=)`."""
    return model.states.optimizer_states[0].trace
