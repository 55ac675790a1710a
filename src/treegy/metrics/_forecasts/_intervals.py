"""Intervals in which labels are predicted to be."""

from typing import ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from ..._checks import check_number
from ..._terms._elementwise import mean_over_last_axis
from ..._terms._metric import Metric
from ..._types import PyTree
from ...losses._several import several

_PARTS = ("lower end", "upper end")


class IntervalCoverage(Metric):
    r"""The share of labels within their intervals, $l \le y \le u$.

    `y_true` holds real numbers `(batch, ...)`, and `y_pred` is `(lower, upper)`, each of that shape. Of an interval
    that is meant to hold 90 % of the labels it should be 0.9. It says nothing about how wide they are:
    [`treegy.metrics.WinklerScore`][] is about both. What is NaN shows.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays, or the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        coverage = tg.metrics.IntervalCoverage()
        assert float(coverage(jnp.array([1.0, 5.0]), (jnp.array([0.0, 0.0]), jnp.array([1.0, 4.0])))) == 0.5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        lower, upper, y = several(y_pred, _PARTS, y_true=y_true)
        within = ((lower <= y) & (y <= upper)).astype(y.dtype)
        # Comparisons lose NaN.
        unknown = jnp.isnan(lower) | jnp.isnan(upper) | jnp.isnan(y)
        return mean_over_last_axis(jnp.where(unknown, jnp.full_like(within, jnp.nan), within))


class IntervalWidth(Metric):
    r"""The mean width of intervals, $u - l$, in the unit of the labels: negative where the ends are exchanged.

    `y_pred` is `(lower, upper)`, each of the shape `(batch, ...)`. No labels are needed.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays, or the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        width = tg.metrics.IntervalWidth()
        assert float(width(y_pred=(jnp.array([0.0, 0.0]), jnp.array([1.0, 4.0])))) == 2.5
        ```
    """

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        lower, upper = several(y_pred, _PARTS)
        return mean_over_last_axis(upper - lower)


class WinklerScore(Metric):
    r"""How wide intervals are, and how far labels are outside,
    $u - l + \frac{2}{\alpha} (\max(l - y, 0) + \max(y - u, 0))$, in the unit of the labels: the mean.

    It is least where $l$ and $u$ are the quantiles $\frac{\alpha}{2}$ and $1 - \frac{\alpha}{2}$. Also called the
    interval score. `y_true` holds real numbers `(batch, ...)`, and `y_pred` is `(lower, upper)`, each of that shape.

    **Raises:** `ValueError` where `alpha` isn't between 0 and 1. [`treegy.ContractError`][] where `y_pred` isn't two
    arrays, or the shapes differ.

    ??? cite

        Winkler, *A Decision-Theoretic Approach to Interval Estimation*, JASA 67 (1972).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.WinklerScore(alpha=0.5)
        assert float(score(jnp.array([1.0, 5.0]), (jnp.array([0.0, 0.0]), jnp.array([1.0, 4.0])))) == 4.5
        ```
    """

    elementwise: ClassVar[bool] = True

    alpha: ArrayLike
    """The share of labels that are meant to be outside: 0.1 for an interval that is to hold 90 % of them."""

    def __check_init__(self) -> None:
        check_number("alpha", self.alpha, lambda a: 0 < a < 1, "a number between 0 and 1")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        lower, upper, y = several(y_pred, _PARTS, y_true=y_true)
        outside = jnp.maximum(lower - y, 0) + jnp.maximum(y - upper, 0)
        return mean_over_last_axis(upper - lower + 2 / jnp.asarray(self.alpha, y.dtype) * outside)
