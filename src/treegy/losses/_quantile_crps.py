"""The continuous ranked probability score of quantiles."""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._terms._loss import Loss
from ._quantile import Quantiles, as_quantiles, check_quantiles, quantile


def quantile_crps(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, q: Sequence[ArrayLike]
) -> Float[Array, "..."]:
    r"""Twice the mean pinball loss of several quantiles, $\frac{2}{K}\sum_k \max(q_k e_k, (q_k - 1) e_k)$ with
    $e_k = y - \hat y_k$, averaged over the last axis of the labels.

    Of quantiles that are evenly spread, $q_k = (k - \frac12) / K$, it is the continuous ranked probability score of an
    ensemble of them, and that of the distribution for many. For 0.5 alone it is the absolute error.

    Arguments, values and errors are those of [`treegy.losses.quantile`][] with several `q`.

    ??? cite

        Laio and Tamea, *Verification Tools for Probabilistic Forecasts of Continuous Hydrological Variables*, Hydrology
        and Earth System Sciences 11 (2007).
    """
    return 2 * quantile(y_true, y_pred, q=list(q))


class QuantileCRPS(Loss):
    r"""The continuous ranked probability score of quantiles: [`treegy.losses.quantile_crps`][].

    **Raises:** `ValueError` where one of `q` isn't between 0 and 1, or there is none.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.QuantileCRPS(q=[0.25, 0.75])
        assert loss(jnp.array([4.0]), jnp.array([[0.0, 4.0]])) == 1
        ```
    """

    elementwise: ClassVar[bool] = True

    q: Quantiles = eqx.field(kw_only=True, converter=as_quantiles)
    """The quantiles, each between 0 and 1: one for each component of the last axis of `y_pred`."""

    def __check_init__(self) -> None:
        check_quantiles(self.q, several=True)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return 2 * quantile(y_true, y_pred, q=self.q)
