"""`MultiScaleSSIM`: how similar images are in structure at several scales."""

from collections.abc import Sequence

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._images import as_channels
from ...losses._multi_scale_ssim import WEIGHTS, as_weights, check_weights, multi_scale_ssim
from ...losses._ssim import as_window, check_similarity


class MultiScaleSSIM(Metric):
    """The structural similarity of two images at several scales, the mean over examples: 1 minus
    [`treegy.losses.multi_scale_ssim`][], from 0 to 1 (the same).

    What it takes and raises is what [`treegy.losses.MultiScaleSSIM`][] does.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        similarity = tg.metrics.MultiScaleSSIM(data_range=1.0, weights=(0.5, 0.5))
        assert float(similarity(images, images)) == 1
        ```
    """

    data_range: ArrayLike = eqx.field(kw_only=True)
    """How far the least and the largest possible value of a pixel are apart: 1, or 255."""
    weights: Sequence[ArrayLike] = eqx.field(default=WEIGHTS, kw_only=True, converter=as_weights)
    """The exponents of the scales, from the finest on: as many as there are scales."""
    window: int = eqx.field(default=11, kw_only=True, static=True, converter=as_window)
    """The side of the window, in pixels."""
    sigma: ArrayLike | None = eqx.field(default=1.5, kw_only=True)
    """The standard deviation of the weights within a window, in pixels; `None` for equal weights."""
    k1: ArrayLike = eqx.field(default=0.01, kw_only=True)
    """By how much of the range luminances are taken to be alike."""
    k2: ArrayLike = eqx.field(default=0.03, kw_only=True)
    """By how much of the range contrasts are taken to be alike."""
    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def __check_init__(self) -> None:
        check_weights(self.weights)
        check_similarity(self.data_range, self.sigma, self.k1, self.k2)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return 1 - multi_scale_ssim(
            y_true,
            y_pred,
            data_range=self.data_range,
            weights=self.weights,
            window=self.window,
            sigma=self.sigma,
            k1=self.k1,
            k2=self.k2,
            axis=self.axis,
        )
