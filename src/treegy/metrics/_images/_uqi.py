"""`UQI`: the structural similarity of images without constants."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._checks import check_number
from ..._terms._metric import Metric
from ...losses._images import as_channels, images
from ...losses._ssim import as_window, dissimilarities, without_magnitude


class UQI(Metric):
    r"""The universal image quality index, the mean over examples, and in each over all windows and channels, of

    $$
    \frac{4 \sigma_{yp} \mu_y \mu_p}{(\sigma_y^2 + \sigma_p^2)(\mu_y^2 + \mu_p^2)}
    $$

    from -1 to 1 (the same). It is [`treegy.metrics.SSIM`][] without constants, and needs no range. In a window in which
    both images are flat, what is compared is the means alone, and where both are 0 it is 1, as in the paper.
    torchmetrics has 0 in both cases, and adds a small number to the denominator.

    **Accepts:** images `y_true` and `y_pred` of the same shape `(batch, height, width, channels)`, or with a depth.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images at least as large as a
    window. `ValueError` where `sigma` isn't positive, or `window` is less than 2.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
        assert float(tg.metrics.UQI()(images, images)) == 1
        ```

    ??? cite

        Wang and Bovik, *A Universal Image Quality Index*, IEEE Signal Processing Letters 2002.
    """

    window: int = eqx.field(default=11, kw_only=True, static=True, converter=as_window)
    """The side of the window, in pixels."""
    sigma: ArrayLike | None = eqx.field(default=1.5, kw_only=True)
    """The standard deviation of the weights within a window, in pixels; `None` for equal weights, as in the paper."""
    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def __check_init__(self) -> None:
        if self.sigma is not None:
            check_number("sigma", self.sigma, lambda s: s > 0, "a positive number, or None")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        y, p = images(y_true, y_pred, self.axis)
        inner = tuple(range(1, y.ndim))
        y, p, no_range = without_magnitude(y, p, 0.0)
        luminance, structure = dissimilarities(y, p, no_range, self.window, self.sigma, 0.0, 0.0)
        return jnp.mean((1 - luminance) * (1 - structure), axis=inner)
