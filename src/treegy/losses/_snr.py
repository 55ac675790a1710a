"""The signal-to-noise ratio of sounds."""

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from .._converters import flag
from .._terms._loss import Loss
from ._sounds import decibel, sounds


def snr(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, zero_mean: bool = False) -> Float[Array, "..."]:
    r"""The negative signal-to-noise ratio in decibel, $-10 \log_{10} (\sum_t y_t^2 / \sum_t (y_t - \hat y_t)^2)$.

    **Arguments:**

    - `y_true`, `y_pred`: of the same shape `(batch, ..., time)`. Nothing is broadcast.
    - `zero_mean`: whether their means over time are subtracted first.

    **Returns:**

    One value for each sound, `(batch, ...)`, between -69.2 (exact) and 69.2 (silence was meant): each energy counts
    with at least $2^{-23}$ of the other. 0 where both are silent. It doesn't depend on how loud they are, as that of
    torchmetrics does, which adds that number to both energies. Nothing is averaged over examples; see
    [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of time.
    """
    y, p = sounds(y_true, y_pred, zero_mean)
    return -decibel(y, y - p)


class SNR(Loss):
    """The negative signal-to-noise ratio of sounds: [`treegy.losses.snr`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sound = jnp.array([[1.0, -1.0, 1.0, -1.0]])
        assert abs(tg.losses.SNR()(sound, 0.9 * sound) - (-20)) < 1e-4
        ```
    """

    zero_mean: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("zero_mean"))
    """Whether the means over time are subtracted first."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return snr(y_true, y_pred, zero_mean=self.zero_mean)
