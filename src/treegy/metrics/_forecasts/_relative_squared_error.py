"""The squared error against that of the mean of the labels."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._converters import flag
from ..._terms._accumulator import safe_divide
from ..._terms._powers import times_power
from .._accumulators._value_of import ValueOf
from .._regression._residuals import OfResiduals, Residuals, Scores


class RelativeSquaredError(OfResiduals):
    r"""The squared error against that of the mean of the labels, $\sum_i w_i (y_i - \hat y_i)^2 / \sum_i w_i
    (y_i - \bar y)^2$: RSE, which is $1 - R^2$; or its root, RRSE.

    Of labels that don't vary it is 0 if they are predicted exactly, else 1, as $R^2$ is 1 or 0; of no examples, 0.
    Errors that are small against how much labels vary aren't lost, as they would be in 1 minus a score near 1. Within a
    model, [`treegy.metrics.R2Score`][] accumulates the same.

    `y_true` and `y_pred` are real numbers of the same shape `(batch,)` or `(batch, outputs)`; of several outputs it is
    the mean. Weights are `(batch,)`, or of that shape.

    **Raises:** [`treegy.ContractError`][] where the shapes differ or are others.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.RelativeSquaredError()
        y_true, y_pred = jnp.array([1.0, 4.0, 3.0]), jnp.array([2.0, 4.0, 4.0])
        assert abs(float(error(y_true, y_pred)) - 3 / 7) < 1e-6
        ```
    """

    squared: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("squared"))
    """Whether it is the error itself, and not its root."""

    def _metric_value(self, accumulated: Residuals) -> ValueOf:
        return ValueOf(accumulated, _relative_squared_error, squared=self.squared)


def _relative_squared_error(scores: Scores, squared: bool) -> Array:
    errors, varying = scores.squared_errors, scores.varying
    relative = times_power(safe_divide(errors.values, varying.values), errors.exponents - varying.exponents)
    constant = jnp.where(errors.values == 0, jnp.zeros_like(relative), jnp.ones_like(relative))
    relative = jnp.where(varying.values == 0, constant, relative)
    return jnp.mean(relative if squared else jnp.sqrt(relative))
