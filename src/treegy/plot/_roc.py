"""`roc`: the curve of true and false positives."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._describe import array_name, describe, is_arraylike
from .._figures import new_figure
from .._model._model import Model
from .._types import PyTree
from ..metrics import RocCurve
from ._asked import predicted, reads_logits


def roc(source: PyTree, x: PyTree = None, y: PyTree = None, *, from_logits: bool | None = None) -> Any:
    """Draw how many of the positive examples are found, against how many of the negative ones are taken for such.

    **Arguments:**

    - `source`: what [`treegy.metrics.RocCurve`][] has found, `(3, thresholds)`, or a dict of several such by name; or a
        model that predicts probabilities of the shape of `y`.
    - `x`, `y`: data, as `evaluate` takes it; `y` is 0 or 1.
    - `from_logits`: whether the model predicts logits; by default, whether one of its losses takes them for that.

    **Returns:** A `matplotlib.figure.Figure`. The area is that under the curve as it is drawn.

    **Raises:** `TypeError` for what is neither a curve nor a model, and `ImportError` without Matplotlib.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        curve = tg.metrics.RocCurve()(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.6, 0.3, 0.9])).compute()
        figure = tg.plot.roc({"a model": curve})
        ```
    """
    if isinstance(source, Model):
        y_pred = predicted(source, x)
        if reads_logits(source) if from_logits is None else from_logits:
            y_pred = (1 + np.tanh(y_pred / 2)) / 2
        curves: Mapping[str, Any] = {"": RocCurve()(np.asarray(y), y_pred.astype("float32")).compute()}
    elif isinstance(source, Mapping):
        curves = source
    else:
        curves = {"": source}
    figure = new_figure("tg.plot.roc", 4.5, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], linestyle=":", color="gray")
    for name, curve in curves.items():
        if not (is_arraylike(curve) and np.ndim(curve) == 2 and np.shape(curve)[0] == 3):
            shown = array_name(curve) if is_arraylike(curve) else describe(curve)
            raise TypeError(f"`source` is {shown}; a model or a curve (3, thresholds) of `RocCurve` is expected.")
        false, true = np.asarray(curve, "float64")[:2]
        area = f"area {np.trapezoid(true, false):.4f}"
        axes.plot(false, true, label=f"{name}: {area}" if name else area)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return figure
