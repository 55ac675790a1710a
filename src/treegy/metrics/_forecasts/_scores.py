"""Scores of predicted distributions that are the mean of a loss."""

from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._checks import check_number
from ..._converters import flag
from ..._terms._metric import Metric
from ..._types import PyTree
from ...losses._ensemble_crps import ensemble_crps
from ...losses._gaussian_crps import gaussian_crps
from ...losses._gaussian_nll import gaussian_nll
from ...losses._quantile import Quantiles, as_quantiles, check_quantiles, quantile


class GaussianCRPS(Metric):
    """The mean of [`treegy.losses.gaussian_crps`][].

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.GaussianCRPS()
        assert abs(float(score(jnp.array([1.0]), (jnp.array([1.0]), jnp.array([4.0])))) - 2 * 0.233695) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return gaussian_crps(y_true, y_pred, eps=self.eps)


class GaussianLogScore(Metric):
    r"""The mean of $-\log \mathcal N(y; \mu, v)$, in nats: [`treegy.losses.gaussian_nll`][] with its constant.

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.GaussianLogScore()
        assert abs(float(score(jnp.array([1.0]), (jnp.array([0.0]), jnp.array([1.0])))) - 1.418939) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return gaussian_nll(y_true, y_pred, full=True, eps=self.eps)


class EnsembleCRPS(Metric):
    """The mean of [`treegy.losses.ensemble_crps`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.EnsembleCRPS()
        assert float(score(jnp.array([0.0]), jnp.array([[1.0, 3.0]]))) == 1.5
        ```
    """

    elementwise: ClassVar[bool] = True

    fair: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("fair"))
    """Whether, on average, it is the score of the distribution that the members are drawn from."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return ensemble_crps(y_true, y_pred, fair=self.fair)


class QuantileCRPS(Metric):
    """The mean of [`treegy.losses.quantile_crps`][]: twice the pinball loss of several quantiles.

    **Raises:** `ValueError` where one of `q` isn't between 0 and 1, or there is none.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        score = tg.metrics.QuantileCRPS(q=[0.25, 0.75])
        assert float(score(jnp.array([4.0]), jnp.array([[0.0, 4.0]]))) == 1
        ```
    """

    elementwise: ClassVar[bool] = True

    q: Quantiles = eqx.field(kw_only=True, converter=as_quantiles)
    """The quantiles, each between 0 and 1: one for each component of the last axis of `y_pred`."""

    def __check_init__(self) -> None:
        check_quantiles(self.q, several=True)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return 2 * quantile(y_true, y_pred, q=self.q)
