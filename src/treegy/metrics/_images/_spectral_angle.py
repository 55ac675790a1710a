"""`SpectralAngle`: the angle between the spectra of pixels."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from ..._terms._metric import Metric
from ..._terms._powers import without_unit
from ...losses._images import images


class SpectralAngle(Metric):
    r"""The angle between the spectra of pixels, the values of their channels, in radians: the mean over examples, and
    in each over its pixels, of $\arccos(y \cdot \hat y / (\lVert y \rVert \lVert \hat y \rVert))$.

    It doesn't depend on how bright pixels are. Small angles are exact, which an arccosine isn't near 1. The angle
    between a spectrum and one of zeros is $\pi / 2$, and 0 if both are; torchmetrics gives NaN.

    **Accepts:** images `y_true` and `y_pred` of the same shape `(batch, height, width, channels)`, or with a depth.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of images with channels.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        red, yellow = jnp.array([1.0, 0.0]), jnp.array([3.0, 3.0])
        angle = tg.metrics.SpectralAngle()(jnp.tile(red, (1, 4, 4, 1)), jnp.tile(yellow, (1, 4, 4, 1)))
        assert abs(float(angle) - jnp.pi / 4) < 1e-6
        ```

    ??? cite

        Kruse et al., *The Spectral Image Processing System (SIPS)*, Remote Sensing of Environment 1993.
    """

    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "the axis of the channels"))
    """That of the channels, 1 if they come first."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        y, p = (_directions(a) for a in images(y_true, y_pred, self.axis))
        # The two diagonals of a rhombus: neither is small where the other one is inexact.
        angles = 2 * jnp.arctan2(_lengths(y - p), _lengths(y + p))
        return jnp.mean(angles, axis=tuple(range(1, angles.ndim)))


def _directions(spectra: Array) -> Array:
    (spectra,) = without_unit([spectra], -1)
    return safe_divide(spectra, jnp.broadcast_to(_lengths(spectra)[..., None], spectra.shape))


def _lengths(spectra: Array) -> Array:
    return jnp.sqrt(jnp.sum(spectra**2, axis=-1))
