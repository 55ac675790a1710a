"""`predictions`: some examples, and what the model says of them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._describe import array_name, describe, is_arraylike
from .._figures import new_figure
from .._model._model import Model
from .._types import PyTree
from ._asked import names_of, predicted

_COLUMNS = 8


def predictions(
    model: Model[Any], x: PyTree, y: PyTree = None, *, n: int = 16, classes: Sequence[str] | None = None
) -> Any:
    """Draw some examples and what the model says of them.

    **Arguments:**

    - `model`: predicts scores of classes `(classes,)` for images `x`, or numbers for anything.
    - `x`: data. Images are `(examples, h, w)`, or have an axis of 1 or 3 channels, first or last.
    - `y`: class indices, or numbers of the shape of the predictions. Without it, images have no right or wrong.
    - `n`: how many images, from the first on.
    - `classes`: the names of the classes; their indices by default.

    **Returns:** A `matplotlib.figure.Figure`: of images, each with its class, in red where it is another one; of
    numbers, the predictions against `y`.

    **Raises:** `TypeError` where it is neither, and `ImportError` without Matplotlib.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import treegy as tg

        x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
        model = tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)))
        figure = tg.plot.predictions(model, x, x.sum(axis=1, keepdims=True))
        ```
    """
    images = _as_images(x)
    if images is not None:
        return _images(images[:n], predicted(model, x[:n]), None if y is None else np.asarray(y)[:n], classes)
    y_pred = predicted(model, x)
    if y is None or np.shape(y) != y_pred.shape:
        shown = array_name(y) if is_arraylike(y) else describe(y)
        raise TypeError(f"`x` holds no images, and `y` is {shown}: {array_name(y_pred)}, as is predicted, is expected.")
    figure = new_figure("tg.plot.predictions", 4.5, 4.2)
    axes = figure.add_subplot()
    ends = [min(np.min(y), np.min(y_pred)), max(np.max(y), np.max(y_pred))]
    axes.plot(ends, ends, linestyle=":", color="gray")
    axes.scatter(np.ravel(y), np.ravel(y_pred), s=8, alpha=0.6)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    return figure


def _as_images(x: PyTree) -> np.ndarray | None:
    """Return images `(examples, h, w)` or `(examples, h, w, 3)`; `None` for what isn't."""
    if not is_arraylike(x) or np.ndim(x) not in (3, 4):
        return None
    images = np.asarray(x, "float32")
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        if images.shape[1] not in (1, 3):
            return None
        images = np.moveaxis(images, 1, -1)
    return images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images


def _images(images: np.ndarray, y_pred: np.ndarray, y: np.ndarray | None, classes: Sequence[str] | None) -> Any:
    if y_pred.ndim != 2:
        raise TypeError(
            f"`x` holds images, and {array_name(y_pred)} is predicted: scores (examples, classes) are expected."
        )
    names = names_of(classes, y_pred.shape[1])
    found = y_pred.argmax(axis=1)
    true = y.argmax(axis=1) if y is not None and y.ndim == 2 else y
    columns = min(_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    figure = new_figure("tg.plot.predictions", 1.1 * columns, 1.35 * rows)
    low, high = float(images.min()), float(images.max())
    for i, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(image if image.ndim == 2 else (image - low) / max(high - low, 1e-30), cmap="gray")
        wrong = true is not None and found[i] != true[i]
        title = names[found[i]] + (f" ({names[int(true[i])]})" if wrong and true is not None else "")
        axes.set_title(title, fontsize=9, color="red" if wrong else "black")
        axes.axis("off")
    return figure
