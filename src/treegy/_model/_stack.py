"""`stack` and `unstack`: several models in one, and the models of one."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp

from .._describe import describe, differences, leaf_name, listed, path_name
from .._steps._hashable import hashable_combine, hashable_partition
from .._steps._stacks import one_of, size_of_stack
from ._model import Model

if TYPE_CHECKING:
    M = TypeVar("M", bound=Model[Any])
else:
    M = TypeVar("M")


def stack(models: Iterable[M]) -> M:
    """Return several models of the same structure as one, which trains all of them on the same batches.

    Its arrays have an axis of models in front, and so have its predictions and metric values. `fit`, `evaluate`,
    `predict`, the single steps, `scan_fit`, callbacks, `save` and backups take it as they take a model. Models may
    differ in all that is an array: parameters, seeds, and learning rates ([`treegy.Optimizer`][]).

    `eqx.filter_vmap` of a function that makes a model gives a stack as well.

    **Raises:** `ValueError` if they aren't of the same structure, with what differs.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import optax
        import treegy as tg

        x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
        y = (x[:, 0] > 0).astype("int32")


        def make(seed, rate):
            return tg.Model(
                eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(seed)),
                loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
                optimizer=tg.Optimizer(optax.adam, rate),
                seed=seed,
            )


        models = tg.stack([make(seed, rate) for seed in range(2) for rate in (1e-3, 1e-2)])
        models, history = models.fit(x, y, epochs=3, verbose=0)
        assert history["loss"][-1].shape == (4,)
        assert models.predict(x).shape == (4, 256, 2)
        mean, std = models.predict(x, ensemble="mean_and_std")
        best = tg.unstack(models)[int(history["loss"][-1].argmin())]
        ```
    """
    given = list(models)
    if not given:
        raise ValueError("there are no models to stack.")
    for i, model in enumerate(given):
        if not isinstance(model, Model):
            raise TypeError(f"model {i} is {describe(model)}; a `tg.Model` is expected.")
        if size_of_stack(model) is not None:
            raise ValueError(f"model {i} is a stack already: `tg.unstack` gives its models.")
        if model.strategy is not None:
            raise ValueError(f"model {i} is distributed: `model.distributed(None)` brings it back to one device.")
        if model.initialized != given[0].initialized:
            raise ValueError(
                f"model {i} is {'' if model.initialized else 'not '}initialized, and model 0 is"
                f"{'' if given[0].initialized else ' not'}: call `init` of all of them, or of none."
            )
    parts = [hashable_partition(model) for model in given]
    arrays, frozen = parts[0]
    for i, (others, rest) in enumerate(parts):
        if rest != frozen or [(a.shape, a.dtype) for a in others] != [(a.shape, a.dtype) for a in arrays]:
            raise ValueError(_differing(given[0], given[i], i))
    columns = zip(*(others for others, _ in parts), strict=True)
    return hashable_combine(
        [jnp.stack([jnp.asarray(a, column[0].dtype) for a in column]) for column in columns], frozen
    )


def unstack(model: M) -> list[M]:
    """Return the models of a stack.

    **Raises:** `ValueError` if it is a single model.
    """
    n = size_of_stack(model)
    if n is None:
        raise ValueError("this is one model, and no stack: `tg.stack` and `eqx.filter_vmap` make one.")
    return [one_of(model, i) for i in range(n)]


def _differing(first: Any, other: Any, i: int) -> str:
    shown = [
        {path_name(path): leaf_name(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(model)}
        for model in (first, other)
    ]
    found = differences(shown[0], shown[1])[:3]
    differ = [f"`{name}` is {here or 'not there'} and {there or 'not there'}" for name, here, there in found]
    what = (
        ", ".join(differ) or f"{_fields_that_differ(first, other)} in what is no array, such as functions and options"
    )
    mend = ""
    if not differ and hashable_partition(first.optimizer)[1] != hashable_partition(other.optimizer)[1]:
        mend = " Make the optimizer once for all models, or with `tg.Optimizer(optax.adam, rate)` for each."
    return f"models 0 and {i} differ in more than the values of their arrays: {what}.{mend}"


def _fields_that_differ(first: Any, other: Any) -> str:
    """Return the names of the fields of two models whose functions, options and structures aren't the same."""
    names = [field.name for field in dataclasses.fields(first)]
    parts = [(name, *(hashable_partition(getattr(model, name))[1] for model in (first, other))) for name in names]
    return listed(f"`{name}`" for name, here, there in parts if here != there) or "their classes"
