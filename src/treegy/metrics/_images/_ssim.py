"""`SSIM`: how similar images are in luminance, contrast and structure."""

from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._ssim import SimilarityOptions, ssim


class SSIM(SimilarityOptions, Metric):
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

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return 1 - ssim(y_true, y_pred, **self._options())
