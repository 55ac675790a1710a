"""`SDR`: how large sounds are, however filtered, against what is wrong with them, in decibel."""

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag, integer
from ..._terms._metric import Metric
from ...losses._sdr import sdr


class SDR(Metric):
    """The signal-to-distortion ratio of BSS Eval in decibel, the mean over sounds of minus [`treegy.losses.sdr`][],
    which says how exact it is: a filter of what is meant is no distortion.

    **Accepts:** `y_true` and `y_pred` of the same shape `(batch, ..., time)`.

    **Raises:** `TypeError` or `ValueError` where an option is no integer from 1 on. [`treegy.ContractError`][] where
    the shapes differ, or there is no axis of time.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        sound = jax.random.normal(jax.random.key(0), (1, 1000))
        echo = sound + 0.5 * jnp.roll(sound, 3)
        assert float(tg.metrics.SDR(filter_length=16)(sound, echo)) > 20
        ```
    """

    filter_length: int = eqx.field(
        default=512,
        kw_only=True,
        static=True,
        converter=integer("filter_length", "how many samples the filter has", least=1),
    )
    """How many samples the filter has."""
    iterations: int = eqx.field(
        default=50,
        kw_only=True,
        static=True,
        converter=integer("iterations", "how many steps are taken to find the filter", least=1),
    )
    """How many steps are taken to find it."""
    zero_mean: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("zero_mean"))
    """Whether the means over time are subtracted first."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return -sdr(
            y_true,
            y_pred,
            filter_length=self.filter_length,
            iterations=self.iterations,
            zero_mean=self.zero_mean,
        )
