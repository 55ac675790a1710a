"""What pictures ask a model for."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._describe import describe
from .._model._model import Model
from .._terms._metric import Metric
from .._types import PyTree


def metric_value(metric: Metric, model: Model[Any], x: PyTree, y: PyTree) -> np.ndarray:
    """Return the value of one metric, over all data."""
    asking = model.replace(loss=None, metrics=metric)
    (value,) = asking.evaluate(x, y, verbose=0).values()
    return np.asarray(value)


def reads_logits(model: Model[Any]) -> bool:
    """Whether a loss of a model takes what it predicts for logits."""
    losses = jax.tree.leaves(model.loss, is_leaf=lambda node: hasattr(node, "from_logits"))
    return any(bool(getattr(loss, "from_logits", False)) for loss in losses)


def predicted(model: Model[Any], x: PyTree) -> np.ndarray:
    """Return what a model predicts, which has to be one array."""
    y_pred = model.predict(x)
    if not isinstance(y_pred, np.ndarray | jax.Array):
        raise TypeError(f"the model predicts {describe(y_pred)}, and one array can be drawn.")
    return np.asarray(y_pred)


def names_of(classes: Sequence[str] | None, n: int) -> list[str]:
    """Return the names of `n` classes: their indices, or what was given.

    **Raises:** `ValueError` where there are more or less of them.
    """
    if classes is None:
        return [str(i) for i in range(n)]
    if len(classes) != n:
        raise ValueError(f"`classes` has {len(classes)} names, and there are {n} classes.")
    return [str(name) for name in classes]
