"""The figure that a callback watches, and which of two values of it is better."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._describe import describe

_LARGER = (
    *("acc", "auc", "precision", "recall", "sensitivity", "specificity", "f1", "fbeta", "iou", "jaccard", "r2"),
    *("score", "correlation", "kappa", "cosine_similarity"),
)
_SMALLER = ("loss", "error", "entropy", "perplexity", "divergence", "brier", "hinge", "mse", "mae", "rmse")


class Monitor:
    """A figure by its name, and whether it is to be small or large."""

    def __init__(self, name: str, mode: str = "auto", min_delta: float = 0.0):
        """**Arguments:**

        - `name`: of the figure.
        - `mode`: `"min"` or `"max"`; `"auto"` goes by the name.
        - `min_delta`: by how much it must change to be better.

        **Raises:** `ValueError` for another mode, and where `"auto"` can't tell.
        """
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'`mode` is {describe(mode)}; "auto", "min" or "max" is expected.')
        if mode == "auto":
            mode = _mode_of(name)
        self.name = name
        self.worst = math.inf if mode == "min" else -math.inf
        self._sign = -1.0 if mode == "min" else 1.0
        self._min_delta = abs(min_delta)

    def better(self, value: float, than: float) -> bool:
        """Whether `value` is better. NaN never is."""
        return (
            self._sign * (value - than) > self._min_delta
            if math.isfinite(than)
            else value * self._sign > than * self._sign
        )

    def read(self, logs: Mapping[str, Any], run: Any, who: str) -> float | None:
        """The figure, or `None` where this epoch has none because validation wasn't due.

        **Raises:** `KeyError` where there never will be one.
        """
        if self.name in logs:
            value = np.asarray(logs[self.name])
            if value.ndim:
                raise ValueError(
                    f"`{who}(monitor={self.name!r})`: the figure is no scalar, but has shape {value.shape}."
                )
            return float(value)
        if self.name.startswith("val_") and run is not None and run.validation is not None and not run.validated:
            return None
        near = difflib.get_close_matches(self.name, list(logs), n=1)
        mend = f" Did you mean {near[0]!r}?" if near else ""
        if self.name.startswith("val_") and run is not None and run.validation is None:
            mend = " There is no validation: pass `validation_data`."
        raise KeyError(f"`{who}(monitor={self.name!r})`: there is no such figure, but {', '.join(logs)}.{mend}")


def _mode_of(name: str) -> str:
    plain = name.removeprefix("val_").lower()
    for words, mode in ((_SMALLER, "min"), (_LARGER, "max")):
        if any(word in plain for word in words):
            return mode
    raise ValueError(
        f'whether {name!r} is to be small or large can\'t be told from its name: give `mode="min"` or "max".'
    )
