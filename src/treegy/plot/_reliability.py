"""`reliability`: whether predictions are right as often as they say."""

from typing import Any

import numpy as np

from .._figures import new_figure
from .._model._model import Model
from .._types import PyTree
from ..metrics import CalibrationError
from ._asked import predicted, reads_logits


def reliability(model: Model[Any], x: PyTree, y: PyTree, *, num_bins: int = 15, from_logits: bool | None = None) -> Any:
    """Draw how often predictions are right, against how sure they are.

    **Arguments:**

    - `model`: predicts probabilities as [`treegy.metrics.CalibrationError`][] takes them.
    - `x`, `y`: data, as `evaluate` takes it.
    - `num_bins`: into how many bins of equal width the confidence is put.
    - `from_logits`: whether the model predicts logits; by default, whether one of its losses takes them for that.

    **Returns:** A `matplotlib.figure.Figure`: above, a point for each bin that has predictions, on the diagonal if they
    are right as often as they say; below, how many there are. The title has the calibration error.

    **Raises:** `ImportError` without Matplotlib.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import numpy as np
        import treegy as tg

        x, y = np.ones((6, 4), "float32"), np.array([0, 1, 2, 0, 1, 2])
        loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
        model = tg.Model(eqx.nn.Linear(4, 3, key=jax.random.key(0)), loss=loss)
        figure = tg.plot.reliability(model, x, y, num_bins=5)
        ```
    """
    y_pred = predicted(model, x)
    logits = reads_logits(model) if from_logits is None else from_logits
    error = CalibrationError(num_bins=num_bins, from_logits=logits)(np.asarray(y), y_pred)
    # Of all classes together: the last axis has one entry.
    counts, right, confidence = np.asarray(error.part.compute(), "float64")[..., 0]
    some = counts > 0
    figure = new_figure("tg.plot.reliability", 4.5, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], linestyle=":", color="gray")
    above.plot(confidence[some] / counts[some], right[some] / counts[some], marker="o")
    above.set_ylabel("how often right")
    above.set_title(f"calibration error {float(error.compute()):.4f}")
    below.bar((np.arange(num_bins) + 0.5) / num_bins, counts, width=0.9 / num_bins)
    below.set_xlabel("confidence")
    below.set_ylabel("predictions")
    return figure
