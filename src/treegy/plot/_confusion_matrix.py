"""`confusion_matrix`: which classes are taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._describe import array_name, describe, is_arraylike
from .._figures import new_figure
from .._model._model import Model
from .._types import PyTree
from ..metrics import ConfusionMatrix
from ._asked import metric_value, names_of


def confusion_matrix(
    source: PyTree, x: PyTree = None, y: PyTree = None, *, classes: Sequence[str] | None = None, shares: bool = False
) -> Any:
    """Draw a confusion matrix.

    **Arguments:**

    - `source`: what [`treegy.metrics.ConfusionMatrix`][] has found, `(classes, classes)`; or a model that predicts
        scores `(classes,)`, whose confusion matrix on `x` and `y` is drawn.
    - `x`, `y`: data, as `evaluate` takes it; `y` holds class indices or one-hot labels.
    - `classes`: the names of the classes; their indices by default.
    - `shares`: whether each row is divided by its sum: what a class is taken for, whatever its frequency.

    **Returns:** A `matplotlib.figure.Figure`.

    **Raises:** `TypeError` for what is neither a matrix nor a model, `ValueError` where `classes` doesn't fit, and
    `ImportError` without Matplotlib.

    !!! example

        ```python
        import numpy as np
        import treegy as tg

        figure = tg.plot.confusion_matrix(np.array([[8, 2], [1, 9]]), classes=["cat", "dog"])
        figure.savefig("confusion_matrix.png")
        ```
    """
    if isinstance(source, Model):
        matrix = metric_value(ConfusionMatrix(), source, x, y)
    elif is_arraylike(source) and np.ndim(source) == 2 and np.shape(source)[0] == np.shape(source)[1]:
        matrix = np.asarray(source, "float64")
    else:
        shown = array_name(source) if is_arraylike(source) else describe(source)
        raise TypeError(f"`source` is {shown}; a model or a confusion matrix (classes, classes) is expected.")
    names = names_of(classes, len(matrix))
    if shares:
        matrix = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-30)
    size = min(max(3.0, 1.5 + 0.45 * len(matrix)), 12.0)
    figure = new_figure("tg.plot.confusion_matrix", size + 0.6, size)
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="Blues", vmin=0)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_xticks(range(len(matrix)), names, rotation=45 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(len(matrix)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(matrix) <= 20:
        # White where the colour behind is dark.
        dark = np.nanmax(matrix, initial=0) / 2
        for (i, j), value in np.ndenumerate(matrix):
            text = f"{value:.2f}" if shares else f"{value:.4g}"
            axes.text(j, i, text, ha="center", va="center", color="white" if value > dark else "black", fontsize=8)
    return figure
