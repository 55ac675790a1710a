"""The structural similarity of images at several scales."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._describe import array_name, describe
from .._errors import ContractError
from .._terms._loss import Loss
from ._images import images, space
from ._ssim import SimilarityOptions, dissimilarities, without_magnitude

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def multi_scale_ssim(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    data_range: ArrayLike,
    weights: Sequence[ArrayLike] = _WEIGHTS,
    window: int = 11,
    sigma: ArrayLike | None = 1.5,
    k1: ArrayLike = 0.01,
    k2: ArrayLike = 0.03,
    axis: int | None = -1,
) -> Float[Array, "batch"]:
    r"""One minus the structural similarity of two images at several scales, $1 - \prod_j S_j^{\beta_j}$.

    $S_j$ is the mean over windows and channels of the similarity of contrast and structure at scale $j$, and at the
    last one that of the whole similarity of [`treegy.losses.ssim`][]. From scale to scale, 2 by 2 pixels become their
    mean; an odd last one is left out. A negative $S_j$ counts as 0, as in TensorFlow, and in torchmetrics with
    `normalize="relu"`. (TensorFlow takes the mean over channels of their products; torchmetrics mirrors images at
    their edges at the last scale.)

    **Arguments:**

    - `weights`: $\beta_j$, as many as there are scales.
    - All others as for [`treegy.losses.ssim`][]. Images are at least as large as a window at the last scale: 176 pixels
        by default.

    **Returns:**

    One value per example, `(batch,)`, from 0 (the same) to 1. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images that are large enough.

    ??? cite

        Wang et al., *Multiscale Structural Similarity for Image Quality Assessment*, Asilomar 2003.
    """
    y, p = images(y_true, y_pred, axis)
    axes, inner = space(y), tuple(range(1, y.ndim))
    least = window * 2 ** (len(weights) - 1)
    if min(y.shape[a] for a in axes) < least:
        raise ContractError(
            f"`y_pred` {array_name(y_pred)} must be at least {least} pixels along each side, for a window of {window} "
            f"at the last of {len(weights)} scales: pass fewer `weights` or a smaller `window`, or "
            "`axis=1` if the channels come first."
        )
    y, p, data_range = without_magnitude(y, p, data_range)
    logarithm, none = jnp.zeros(y.shape[0], y.dtype), jnp.zeros(y.shape[0], bool)
    for scale, weight in enumerate(weights):
        luminance, structure = dissimilarities(y, p, data_range, window, sigma, k1, k2)
        last = scale == len(weights) - 1
        lack = jnp.mean(luminance + structure - luminance * structure if last else structure, axis=inner)
        beyond = lack >= 1
        # Of what counts as 0 there is no logarithm, and no gradient.
        logarithm += jnp.asarray(weight, y.dtype) * jnp.log1p(-jnp.where(beyond, 0, lack))
        none |= beyond
        y, p = (_halved(a, axes) for a in (y, p))
    # No difference of 1 and a number near it.
    return jnp.where(none, 1, -jnp.expm1(logarithm))


def _halved(values: Array, axes: Sequence[int]) -> Array:
    """Return images of half the size, each pixel the mean of those that it was."""
    for axis in axes:
        half = values.shape[axis] // 2
        pairs = jax.lax.slice_in_dim(values, 0, 2 * half, axis=axis)
        values = jnp.mean(pairs.reshape(*values.shape[:axis], half, 2, *values.shape[axis + 1 :]), axis=axis + 1)
    return values


def _as_weights(weights: Any) -> Any:
    """Return the weights of the scales as a tuple."""
    return tuple(weights) if isinstance(weights, list | tuple) else weights


class MultiScaleOptions(SimilarityOptions):
    """The options of structural similarities at several scales."""

    weights: Sequence[ArrayLike] = eqx.field(default=_WEIGHTS, kw_only=True, converter=_as_weights)
    """The exponents of the scales, from the finest on: as many as there are scales."""

    def __check_init__(self) -> None:
        if not isinstance(self.weights, tuple) or not self.weights:
            raise TypeError(f"`weights` is a list of numbers, one for each scale, and got {describe(self.weights)}.")
        for weight in self.weights:
            check_number("weights", weight, lambda w: w >= 0, "a list of numbers from 0 on")


class MultiScaleSSIM(MultiScaleOptions, Loss):
    """One minus the structural similarity of two images at several scales: [`treegy.losses.multi_scale_ssim`][].

    **Raises:** what [`treegy.losses.SSIM`][] does; `ValueError` or `TypeError` where `weights` aren't numbers from 0
    on.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        loss = tg.losses.MultiScaleSSIM(data_range=1.0, weights=(0.5, 0.5))
        assert loss(images, images) == 0
        assert loss(images, images**2) > 0
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return multi_scale_ssim(y_true, y_pred, weights=self.weights, **self._options())
