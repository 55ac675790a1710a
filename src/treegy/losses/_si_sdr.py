"""The signal-to-distortion ratio of sounds that doesn't depend on how loud they are."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._converters import flag
from .._terms._accumulator import safe_divide
from .._terms._loss import Loss
from ._sounds import decibel, sounds


def si_sdr(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, zero_mean: bool = False) -> Float[Array, "..."]:
    r"""The negative scale-invariant signal-to-distortion ratio in decibel,
    $-10 \log_{10} (\sum_t (\alpha y_t)^2 / \sum_t (\alpha y_t - \hat y_t)^2)$ with
    $\alpha = \sum_t y_t \hat y_t / \sum_t y_t^2$: what is predicted may be louder or less loud than what is meant.

    **Arguments:**

    - `y_true`, `y_pred`: of the same shape `(batch, ..., time)`. Nothing is broadcast.
    - `zero_mean`: whether their means over time are subtracted first: then it is also called the scale-invariant
        signal-to-noise ratio, SI-SNR.

    **Returns:**

    One value for each sound, `(batch, ...)`, between -69.2 (exact) and 69.2 (nothing of it is there), as
    [`treegy.losses.snr`][] has it. 0 where what is predicted is silent. Nothing is averaged over examples; see
    [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis of time.

    ??? cite

        Le Roux et al., *SDR – Half-Baked or Well Done?*, ICASSP 2019.
    """
    y, p = sounds(y_true, y_pred, zero_mean)
    share = safe_divide(jnp.sum(y * p, axis=-1, keepdims=True), jnp.sum(y**2, axis=-1, keepdims=True))
    return -decibel(share * y, share * y - p)


class SISDR(Loss):
    """The negative scale-invariant signal-to-distortion ratio of sounds: [`treegy.losses.si_sdr`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        sound, noise = jnp.array([[1.0, 0.0, 1.0, 0.0]]), jnp.array([[0.0, 0.1, 0.0, -0.1]])
        loss = tg.losses.SISDR()
        assert abs(loss(sound, sound + noise) - (-20)) < 1e-4
        assert abs(loss(sound, 5 * (sound + noise)) - (-20)) < 1e-4
        ```
    """

    zero_mean: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("zero_mean"))
    """Whether the means over time are subtracted first, as for the SI-SNR."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return si_sdr(y_true, y_pred, zero_mean=self.zero_mean)
