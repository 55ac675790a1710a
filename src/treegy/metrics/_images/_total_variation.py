"""`TotalVariation`: how much neighbouring pixels differ."""

import equinox as eqx
from jaxtyping import Array, Float, Num

from ..._terms._metric import Metric
from ...losses._images import as_channels
from ...losses._total_variation import total_variation


class TotalVariation(Metric):
    """How much neighbouring pixels of what is predicted differ, the mean over examples of
    [`treegy.losses.total_variation`][]. It asks for no labels.

    torchmetrics shows the sum over images by default, and this with `reduction="mean"`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        variation = tg.metrics.TotalVariation(axis=None)
        assert float(variation(y_pred=jnp.array([[[0.0, 1.0], [0.0, 3.0]]]))) == 6
        ```
    """

    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def call(self, y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return total_variation(y_pred, axis=self.axis)
