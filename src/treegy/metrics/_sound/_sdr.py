"""`SDR`: how large sounds are, however filtered, against what is wrong with them, in decibel."""

from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._sdr import SDROptions, sdr


class SDR(SDROptions, Metric):
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

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return -sdr(
            y_true,
            y_pred,
            filter_length=self.filter_length,
            iterations=self.iterations,
            zero_mean=self.zero_mean,
        )
