"""`PerModel`: data of which every model of a stack has its own."""

import equinox as eqx
import jax
from jax.typing import ArrayLike

from .._types import AnyArray, PyTree


class PerModel(eqx.Module):
    """Weights, labels or inputs of which every model of a stack has its own: `(batch, ..., models)`.

    !!! example

        Two models, each of which is trained on one half of the data:

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import optax
        import treegy as tg

        x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


        def make(key):
            network = eqx.nn.Linear(4, 1, key=key)
            return tg.Model(network, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))


        models = eqx.filter_vmap(make)(jax.random.split(jax.random.key(0), 2))
        halves = tg.PerModel(np.stack([np.arange(64) < 32, np.arange(64) >= 32], axis=1).astype("float32"))
        models, history = models.fit(x, x[:, :1], sample_weight=halves, verbose=0)
        ```
    """

    values: AnyArray
    """What each model has, along the last axis."""


def is_per_model(node: object) -> bool:
    return isinstance(node, PerModel)


def of_model(tree: PyTree, i: ArrayLike) -> PyTree:
    """Return a PyTree with that of the `i`-th model in place of each `PerModel`."""

    def own(node: PyTree) -> PyTree:
        if not is_per_model(node):
            return node
        return jax.lax.dynamic_index_in_dim(node.values, i, node.values.ndim - 1, keepdims=False)

    return jax.tree.map(own, tree, is_leaf=is_per_model)
