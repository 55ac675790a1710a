"""How many of the positive predictions are right."""

import equinox as eqx
from jaxtyping import Array, Num, Shaped

from .._accumulator import safe_divide
from ._confusion import Confusion, Thresholds, as_thresholds, check_thresholds, confusion
from ._metric import Metric


class Precision(Metric):
    r"""How many of the positive predictions are right, $TP / (TP + FP)$; 0 where there are none.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`; what is above the threshold is
    predicted as 1. Counts are weighted, and exact however long the epoch.

    **Raises:** `ValueError` where a threshold isn't from 0 to 1. [`treegy.ContractError`][] where the shapes of
    `y_true` and `y_pred` differ, or where they have no class `class_id`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.Precision()
        assert abs(float(precision(jnp.array([0, 1, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) - 2 / 3) < 1e-6
        ```
    """

    thresholds: Thresholds | None = eqx.field(default=None, kw_only=True, converter=as_thresholds)
    """A number, 0.5 by default; or a list of them, for a vector of figures."""
    class_id: int | None = eqx.field(default=None, kw_only=True, static=True)
    """The only class that is looked at, an index along the last axis. All of them by default."""

    def __check_init__(self) -> None:
        check_thresholds(self.thresholds, self.class_id)

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Shaped[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Confusion:
        return confusion(
            y_true,
            y_pred,
            sample_weight,
            thresholds=as_thresholds(self.thresholds),
            class_id=self.class_id,
            figure=_precision,
        )


def _precision(counts: Confusion) -> Array:
    right = counts.true_positives.compute()
    return safe_divide(right, right + counts.false_positives.compute())
