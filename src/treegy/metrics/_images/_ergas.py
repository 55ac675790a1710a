"""`ERGAS`: the errors of the channels against their means."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._checks import check_number
from ..._terms._metric import Metric
from ..._terms._powers import without_unit
from ...losses._images import as_channels, images, space


class ERGAS(Metric):
    r"""The relative dimensionless global error of images that were made finer, the mean over examples of

    $$
    \frac{100}{r} \sqrt{\frac{1}{C} \sum_c \frac{\frac{1}{n} \sum_i (y_{ic} - \hat y_{ic})^2}{\bar y_c^2}}
    $$

    for $C$ channels of $n$ pixels. The less the better. Infinite where a channel is 0 on average and isn't predicted
    exactly.

    **Accepts:** images `y_true` and `y_pred` of the same shape `(batch, height, width, channels)`, or with a depth.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images. `ValueError` where
    `ratio` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        images = jnp.ones((2, 8, 8, 3))
        assert abs(float(tg.metrics.ERGAS(ratio=4.0)(images, images * 1.02)) - 0.5) < 1e-4
        ```

    ??? cite

        Wald, *Quality of High Resolution Synthesised Images: Is There a Simple Criterion?*, Fusion of Earth Data 2000.
    """

    ratio: ArrayLike = eqx.field(default=4.0, kw_only=True)
    """How much finer the images were made, $r$."""
    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def __check_init__(self) -> None:
        check_number("ratio", self.ratio, lambda r: r > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        y, p = images(y_true, y_pred, self.axis)
        y, p = without_unit([y, p], space(y))
        error = jnp.mean((p - y) ** 2, axis=space(y))
        relative = jnp.where(error == 0, 0, error / jnp.mean(y, axis=space(y)) ** 2)
        return 100 / jnp.asarray(self.ratio, y.dtype) * jnp.sqrt(jnp.mean(relative, axis=-1))
