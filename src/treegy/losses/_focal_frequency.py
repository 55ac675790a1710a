"""The focal frequency loss: how much the spectra of images differ."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._accumulator import safe_divide
from .._terms._loss import Loss
from ._images import as_channels, images, space


def focal_frequency(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, alpha: ArrayLike = 1.0, axis: int | None = -1
) -> Float[Array, "batch"]:
    r"""How much the spectra of two images differ, the mean over frequencies and channels of $w_f \lvert F_f \rvert^2$,
    where $F$ is the discrete Fourier transform of $y - \hat y$, divided by the root of the number of pixels, and
    $w_f = (\lvert F_f \rvert / \max_g \lvert F_g \rvert)^\alpha$: frequencies that are hard count most.

    Gradients don't go through the weights, as in the paper.

    **Arguments:**

    - `y_true`, `y_pred`: images of the same shape `(batch, height, width, channels)`, or with a depth before the
        channels. Nothing is broadcast.
    - `alpha`: how much hard frequencies count; for 0 it is the mean squared error.
    - `axis`: that of the channels, 1 if they come first; `None` where there are none.

    **Returns:**

    One value per example, `(batch,)`. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images.

    ??? cite

        Jiang et al., *Focal Frequency Loss for Image Reconstruction and Synthesis*, ICCV 2021.
    """
    y, p = images(y_true, y_pred, axis)
    axes = space(y)
    # What is linear may be taken of the difference, in which nothing is lost that the spectra have in common. Within
    # bounds, outside of which values are infinite: a transform of what overflows, and its gradients, would be NaN.
    error = p - y
    bound = math.sqrt(float(jnp.finfo(p.dtype).max) / math.prod(y.shape[a] for a in axes)) / 2
    spectrum = jnp.fft.fftn(jnp.clip(error, -bound, bound), axes=axes, norm="ortho")
    power = jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2
    share = safe_divide(power, jnp.broadcast_to(jnp.max(power, axis=axes, keepdims=True), power.shape))
    weights = jax.lax.stop_gradient(share ** (jnp.asarray(alpha, power.dtype) / 2))
    inner = tuple(range(1, y.ndim))
    values = jnp.mean(weights * power, axis=inner)
    return jnp.where(jnp.any(jnp.abs(error) > bound, axis=inner), jnp.inf, values)


class FocalFrequency(Loss):
    """How much the spectra of two images differ: [`treegy.losses.focal_frequency`][].

    **Raises:** `ValueError` where `alpha` is negative.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
        assert tg.losses.FocalFrequency()(images, images) == 0
        # A frequency alone has the weight 1: the mean, 1/2 everywhere, squared.
        assert jnp.isclose(tg.losses.FocalFrequency()(images, images + 0.5), 0.25)
        ```
    """

    alpha: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """How much hard frequencies count; for 0 it is the mean squared error."""
    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def __check_init__(self) -> None:
        check_number("alpha", self.alpha, lambda a: a >= 0, "a number from 0 on")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return focal_frequency(y_true, y_pred, alpha=self.alpha, axis=self.axis)
