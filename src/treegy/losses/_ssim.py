"""The structural similarity of images."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._converters import integer
from .._terms._accumulator import safe_divide
from .._terms._loss import Loss
from .._terms._powers import without_unit
from ._images import as_channels, images, space
from ._windows import weights_of, windows

as_window = integer("window", "the side of the window that is moved over the images", least=2)


def ssim(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    data_range: ArrayLike,
    window: int = 11,
    sigma: ArrayLike | None = 1.5,
    k1: ArrayLike = 0.01,
    k2: ArrayLike = 0.03,
    axis: int | None = -1,
) -> Float[Array, "batch"]:
    r"""One minus the structural similarity of two images, the mean over all windows and channels of

    $$
    1 - \frac{(2 \mu_y \mu_p + c_1)(2 \sigma_{yp} + c_2)}{(\mu_y^2 + \mu_p^2 + c_1)(\sigma_y^2 + \sigma_p^2 + c_2)}
    $$

    with the means, variances and covariance within a window, $c_1 = (k_1 L)^2$ and $c_2 = (k_2 L)^2$, where $L$ is the
    `data_range`. Windows are those that lie within the image; variances are divided by the sum of the weights. So it
    is in TensorFlow, and in scikit-image with `gaussian_weights=True, use_sample_covariance=False`; torchmetrics counts
    windows, too, that reach over the edge of an image, which it mirrors there.

    **Arguments:**

    - `y_true`, `y_pred`: images of the same shape `(batch, height, width, channels)`, or with a depth before the
        channels. Nothing is broadcast.
    - `data_range`: how far the least and the largest possible value of a pixel are apart: 1, or 255.
    - `window`: the side of the window.
    - `sigma`: the standard deviation of the weights within a window, in pixels; `None` for equal weights.
    - `k1`, `k2`: how large the constants are.
    - `axis`: that of the channels, 1 if they come first; `None` where there are none.

    **Returns:**

    One value per example, `(batch,)`, from 0 (the same) to 2. Near 0 it is as exact as anywhere: it isn't computed as
    one minus a number near 1. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images at least as large as a
    window.

    ??? cite

        Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity*, IEEE Transactions on
        Image Processing 2004.
    """
    y, p, data_range = without_magnitude(*images(y_true, y_pred, axis), data_range)
    luminance, structure = dissimilarities(y, p, data_range, window, sigma, k1, k2)
    return jnp.mean(luminance + structure - luminance * structure, axis=tuple(range(1, y.ndim)))


def without_magnitude(y_true: Array, y_pred: Array, data_range: ArrayLike) -> tuple[Array, Array, Array]:
    """Return images and their range divided by a power of two, whose similarities are the same at any magnitude."""
    y, p, each = without_unit(
        [y_true, y_pred, jnp.full_like(y_true, jnp.asarray(data_range, y_true.dtype))], tuple(range(1, y_true.ndim))
    )
    return y, p, each[(slice(None), *(slice(0, 1) for _ in each.shape[1:]))]


def dissimilarities(
    y_true: Array,
    y_pred: Array,
    data_range: Array,
    window: int,
    sigma: ArrayLike | None,
    k1: ArrayLike,
    k2: ArrayLike,
) -> tuple[Array, Array]:
    r"""Return how much images differ in luminance and in structure, for each window and channel: 1 minus the two
    quotients whose product is the similarity. 0 where both images are 0, or flat, and there are no constants.

    These are $(\mu_y - \mu_p)^2 / (\mu_y^2 + \mu_p^2 + c_1)$ and
    $\sigma_{y - p}^2 / (\sigma_y^2 + \sigma_p^2 + c_2)$, in which nothing cancels.

    **Arguments:**

    - `y_true`, `y_pred`: `(batch, *space, channels)`.
    - `data_range`: of each example, of as many axes.
    """
    both = jnp.stack([y_true, y_pred, y_true - y_pred])
    found = windows(both, weights_of(window, sigma, both.dtype), [axis + 1 for axis in space(y_true)])
    c1, c2 = ((jnp.asarray(k, both.dtype) * data_range) ** 2 for k in (k1, k2))
    means, variances = found.mean, found.variance
    return (
        safe_divide(means[2] ** 2, means[0] ** 2 + means[1] ** 2 + c1),
        safe_divide(variances[2], variances[0] + variances[1] + c2),
    )


class SimilarityOptions(eqx.Module):
    """The options of structural similarities, be they losses or metrics."""

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
        check_number("data_range", self.data_range, lambda r: r > 0, "a positive number, such as 1 or 255")
        if self.sigma is not None:
            check_number("sigma", self.sigma, lambda s: s > 0, "a positive number, or None")
        for name, k in (("k1", self.k1), ("k2", self.k2)):
            check_number(name, k, lambda k: k >= 0, "a number from 0 on")

    def _options(self) -> dict[str, Any]:
        """Return the options as functions take them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(SimilarityOptions)}


class SSIM(SimilarityOptions, Loss):
    """One minus the structural similarity of two images: [`treegy.losses.ssim`][].

    **Raises:** `ValueError` where `data_range` or `sigma` isn't positive, `k1` or `k2` is negative, or `window` is less
    than 2.

    !!! example

        ```python
        import jax
        import jax.numpy as jnp
        import treegy as tg

        images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
        loss = tg.losses.SSIM(data_range=1.0)
        assert loss(images, images) == 0
        assert loss(images, 1 - images) > 1
        ```
    """

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return ssim(y_true, y_pred, **self._options())
