"""`SNR`, `SISDR` and `SISNR`: how large sounds are against what is wrong with them, in decibel."""

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import flag
from ..._terms._metric import Metric
from ...losses._si_sdr import si_sdr
from ...losses._snr import snr


class SNR(Metric):
    """The signal-to-noise ratio of sounds in decibel, the mean over them of minus [`treegy.losses.snr`][].

    **Accepts:** `y_true` and `y_pred` of the same shape `(batch, ..., time)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of time.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sound = jnp.array([[1.0, -1.0, 1.0, -1.0]])
        assert abs(float(tg.metrics.SNR()(sound, 0.9 * sound)) - 20) < 1e-4
        ```
    """

    zero_mean: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("zero_mean"))
    """Whether the means over time are subtracted first."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return -snr(y_true, y_pred, zero_mean=self.zero_mean)


class SISDR(Metric):
    """The scale-invariant signal-to-distortion ratio of sounds in decibel, the mean over them of minus
    [`treegy.losses.si_sdr`][].

    **Accepts:** `y_true` and `y_pred` of the same shape `(batch, ..., time)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of time.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sound, noise = jnp.array([[1.0, 0.0, 1.0, 0.0]]), jnp.array([[0.0, 0.1, 0.0, -0.1]])
        assert abs(float(tg.metrics.SISDR()(sound, 5 * (sound + noise))) - 20) < 1e-4
        ```
    """

    zero_mean: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("zero_mean"))
    """Whether the means over time are subtracted first: then it is [`treegy.metrics.SISNR`][]."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return -si_sdr(y_true, y_pred, zero_mean=self.zero_mean)


class SISNR(Metric):
    """The scale-invariant signal-to-noise ratio of sounds in decibel: [`treegy.metrics.SISDR`][] of sounds whose means
    over time are subtracted.

    **Accepts:** `y_true` and `y_pred` of the same shape `(batch, ..., time)`.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of time.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sound, noise = jnp.array([[1.0, 0.0, -1.0, 0.0]]), jnp.array([[0.0, 0.1, 0.0, -0.1]])
        assert abs(float(tg.metrics.SISNR()(sound, 5 * (sound + noise) + 3)) - 20) < 1e-4
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return -si_sdr(y_true, y_pred, zero_mean=True)
