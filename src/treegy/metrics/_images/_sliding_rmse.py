"""`SlidingRMSE`: the root of the mean squared error within windows."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._images import as_channels, images, space
from ...losses._ssim import as_window
from ...losses._windows import window_means


class SlidingRMSE(Metric):
    r"""The root of the mean squared error within a window, the mean over examples, and in each over all windows and
    channels.

    Windows are those that lie within the image. torchmetrics leaves out those next to its edges.

    **Accepts:** images `y_true` and `y_pred` of the same shape `(batch, height, width, channels)`, or with a depth.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images at least as large as a
    window. `ValueError` where `window` is less than 2.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        images = jnp.zeros((2, 8, 8, 3))
        assert float(tg.metrics.SlidingRMSE()(images, images + 2)) == 2
        ```
    """

    window: int = eqx.field(default=8, kw_only=True, static=True, converter=as_window)
    """The side of the window, in pixels."""
    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        y, p = images(y_true, y_pred, self.axis)
        roots = jnp.sqrt(window_means((p - y) ** 2, self.window, space(y)))
        return jnp.mean(roots, axis=tuple(range(1, roots.ndim)))
