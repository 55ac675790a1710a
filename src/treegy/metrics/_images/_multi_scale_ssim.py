"""`MultiScaleSSIM`: how similar images are in structure at several scales."""

from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._multi_scale_ssim import MultiScaleOptions, multi_scale_ssim


class MultiScaleSSIM(MultiScaleOptions, Metric):
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

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return 1 - multi_scale_ssim(y_true, y_pred, weights=self.weights, **self._options())
