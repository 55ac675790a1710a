"""`PSNR`: how large the range of pixels is against their error, in decibel."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from ..._checks import check_number
from ..._converters import flag
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Accumulator, Mean
from ..._terms._elementwise import matched
from ..._terms._metric import Metric
from ..._terms._weights import as_summand
from .._accumulators._value_of import ValueOf


class PSNR(Metric):
    r"""The peak signal-to-noise ratio in decibel, the mean over examples of
    $10 \log_{10} (L^2 / \frac{1}{n} \sum_i (y_i - \hat y_i)^2)$, where $L$ is the `data_range`. Infinite where an image
    is exactly what it should be.

    With `pooled`, it is that ratio of the error over all pixels of all examples, which few bad images dominate: what
    torchmetrics computes by default. The mean over examples is its `dim=(1, 2, 3)`, and what TensorFlow, scikit-image
    and papers mean.

    **Accepts:** `y_true` and `y_pred` of the same shape `(batch, ...)`, with at least one axis besides the batch. With
    `pooled`, weights may be those of single pixels.

    **Raises:** `ValueError` where `data_range` isn't positive. [`treegy.ContractError`][] where the shapes differ.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        psnr = tg.metrics.PSNR(data_range=1.0)
        images, found = jnp.zeros((2, 4, 4, 3)), jnp.stack([jnp.full((4, 4, 3), 0.1), jnp.full((4, 4, 3), 0.01)])
        assert abs(float(psnr(images, found)) - (20 + 40) / 2) < 1e-4
        ```
    """

    data_range: ArrayLike = eqx.field(kw_only=True)
    """How far the least and the largest possible value of a pixel are apart: 1, or 255."""
    pooled: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("pooled"))
    """Whether it is the ratio of the error over all examples, and not the mean of theirs."""

    def __check_init__(self) -> None:
        check_number("data_range", self.data_range, lambda r: r > 0, "a positive number, such as 1 or 255")

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Accumulator:
        y, p = matched(y_true, y_pred)
        if p.ndim < 2:
            raise ContractError(f"`y_pred` {array_name(y_pred)} has no axis of pixels besides that of the batch.")
        squares = ((p - y) / jnp.asarray(self.data_range, p.dtype)) ** 2
        if self.pooled:
            return ValueOf(Mean.of(squares, sample_weight), _decibel)
        return Mean.of(_decibel(jnp.mean(as_summand(squares), axis=tuple(range(1, p.ndim)))), sample_weight)


def _decibel(error: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return how much larger 1 is than a mean squared error."""
    return -10 * jnp.log10(error)
