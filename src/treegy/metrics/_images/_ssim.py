"""`SSIM`: how similar images are in luminance, contrast and structure."""

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._images import as_channels
from ...losses._ssim import as_window, check_similarity, ssim


class SSIM(Metric):
    """The structural similarity of two images, the mean over examples: 1 minus [`treegy.losses.ssim`][], from -1 to 1
    (the same).

    What it takes and raises is what [`treegy.losses.SSIM`][] does.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
        similarity = tg.metrics.SSIM(data_range=1.0)
        assert float(similarity(images, images)) == 1
        assert float(similarity(images, 1 - images)) < 0
        ```
    """

    data_range: ArrayLike = eqx.field(kw_only=True)
    """How far the least and the largest possible value of a pixel are apart: 1, or 255."""
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
        check_similarity(self.data_range, self.sigma, self.k1, self.k2)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return 1 - ssim(
            y_true,
            y_pred,
            data_range=self.data_range,
            window=self.window,
            sigma=self.sigma,
            k1=self.k1,
            k2=self.k2,
            axis=self.axis,
        )
