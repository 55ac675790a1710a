"""Metrics of labels that are 0 or 1, and of predictions that stand for 1 above a threshold."""

from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike

from ..._checks import check_number
from ..._terms._metric import Metric


class Thresholded(Metric):
    """What `BinaryAccuracy`, `ExactMatch` and `HammingLoss` share."""

    predictions: ClassVar[str | None] = "probabilities"

    threshold: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """Predictions above it stand for class 1."""

    def __check_init__(self) -> None:
        check_number("threshold", self.threshold, lambda t: t == t, "a number")
