"""Errors against those of the naive forecast."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import absolute, all_in_floats, check_same_shape
from ..._terms._metric import Metric
from ..._terms._weights import Masked


class MeanAbsoluteScaledError(Metric):
    r"""The mean absolute error of a forecast, divided by that of the naive forecast on the history of the series: MASE.
    The mean over series of

    $$
    \frac{\frac{1}{h}\sum_t |y_t - \hat y_t|}{\frac{1}{n - m}\sum_{t > m} |x_t - x_{t - m}|},
    $$

    where $x$ is the history, and the naive forecast is the value of one season $m$ ago. Below 1, the forecast is better
    than that was on the history.

    `y_true` and `y_pred` are forecasts of the same shape `(batch, ..., steps)`, and `x` is the history
    `(batch, ..., past)`, with as many steps as you like. Where the history is a part of `x`, select it:
    `on={"x": "history"}`. A series whose history doesn't vary has no such scale, and doesn't count.

    **Raises:** `ValueError` where `seasonality` is less than 1. [`treegy.ContractError`][] where the shapes differ, or
    the history isn't longer than a season.

    ??? cite

        Hyndman and Koehler, *Another Look at Measures of Forecast Accuracy*, International Journal of Forecasting 22
        (2006).

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanAbsoluteScaledError()
        history = jnp.array([[1.0, 3.0, 1.0, 3.0]])
        assert float(error(x=history, y_true=jnp.array([[1.0, 3.0]]), y_pred=jnp.array([[2.0, 2.0]]))) == 0.5
        ```
    """

    seasonality: int = eqx.field(
        default=1,
        kw_only=True,
        static=True,
        converter=integer("seasonality", "the number of steps of a season", least=1),
    )
    """How many steps a season has: the naive forecast is the value that many steps ago."""

    def call(
        self,
        x: Shaped[Array, "batch ..."],
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
    ) -> Masked:
        check_same_shape(y_true, y_pred)
        if y_pred.ndim < 2 or x.shape[:-1] != y_true.shape[:-1]:
            raise ContractError(
                f"`x` {array_name(x)} and `y_true` {array_name(y_true)} must be a history and a forecast of each "
                "series: shapes like (batch, past) and (batch, steps) are expected. Where the history is a part of "
                '`x`, select it: `on={"x": ...}`.'
            )
        if x.shape[-1] <= self.seasonality:
            raise ContractError(
                f"`x` {array_name(x)} is a history of {x.shape[-1]} steps, and with `seasonality={self.seasonality}` "
                f"at least {self.seasonality + 1} are needed."
            )
        x, y_true, y_pred = all_in_floats({"x": x, "y_true": y_true, "y_pred": y_pred})
        season = self.seasonality
        scale = jnp.mean(absolute(x[..., season:] - x[..., :-season]), axis=-1)
        error = jnp.mean(absolute(y_true - y_pred), axis=-1)
        # A scale that is NaN counts, so that it shows.
        return Masked(safe_divide(error, scale), scale != 0)
