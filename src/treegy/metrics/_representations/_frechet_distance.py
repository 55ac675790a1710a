"""`FrechetDistance`: of normal distributions fitted to real and generated features; of Inception's, the FID."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import function
from ..._terms._accumulator import Accumulator
from ..._terms._elementwise import in_floats
from ..._terms._metric import Metric
from ._covariance import Covariance, Covariances, unbiased
from ._examples import check_vectors

FEATURES = function("features", "a function of a batch of examples", optional=True)


class BothCovariances(Accumulator):
    """Those of real and of generated features."""

    real: Covariance
    generated: Covariance

    def empty(self) -> "BothCovariances":
        return BothCovariances(self.real.empty(), self.generated.empty())

    def merge(self, other: "BothCovariances") -> "BothCovariances":
        return BothCovariances(self.real.merge(other.real), self.generated.merge(other.generated))

    def compute(self) -> Array:
        return _distance(self.real.compute(), self.generated.compute())


def _distance(real: Covariances, generated: Covariances) -> Array:
    one, other = unbiased(real), unbiased(generated)
    apart = jnp.sum((real.mean - generated.mean) ** 2)
    # The eigenvalues of the root of the product are the singular values of a product of roots. These aren't rounded
    # where they are small, as roots of differences would be.
    between = jnp.linalg.svd(jnp.matmul(_root(one).T, _root(other), precision="highest"), compute_uv=False)
    # By rounding it may be negative where the two are the same.
    return jnp.maximum(apart + jnp.trace(one) + jnp.trace(other) - 2 * jnp.sum(between), 0)


def _root(covariances: Array) -> Array:
    """Return a matrix $R$ with $R R^T$ the covariances."""
    # Divided first, since some solvers fail for small numbers.
    largest = jnp.max(jnp.diagonal(covariances), initial=0)
    scale = jnp.where(largest > 0, largest, jnp.ones_like(largest))
    values, vectors = jnp.linalg.eigh(covariances / scale)
    return vectors * jnp.sqrt(jnp.maximum(values, 0) * scale)[None]


class FrechetDistance(Metric):
    r"""How far the features of generated examples are from those of real ones, each taken for a normal distribution,

    $$
    \lVert \mu - \hat \mu \rVert^2 + \text{tr}\left(\Sigma + \hat \Sigma - 2 (\Sigma \hat \Sigma)^{1/2}\right)
    $$

    with unbiased covariances. With the features of an Inception network it is the FID, with those of another the
    distance of that name; treegy brings no weights of any. It is exact however the examples are cut into batches:
    covariances are merged, in float32 with compensated sums.

    **Accepts:** `y_true` and `y_pred` `(batch, d)`, features of real and of generated examples; or anything of which
    `features` makes these. Which of them stand side by side doesn't matter. Weights count for both. Of one example,
    covariances are 0.

    Eigenvalues and singular values of `d * d` numbers are taken when the metric value is computed: seconds, where there
    are thousands of features. Fewer examples than features make it too large, as they do elsewhere.

    **Raises:** `TypeError` where `features` isn't a function. [`treegy.ContractError`][] where the features aren't
    `(batch, d)`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        real = jnp.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
        distance = tg.metrics.FrechetDistance()
        assert abs(float(distance(real, real + 2)) - 8) < 1e-5

        # A frozen network that makes features of images:
        distance = tg.metrics.FrechetDistance(features=lambda images: images.reshape(len(images), -1)[:, :2])
        images = jnp.ones((4, 8, 8, 3))
        assert float(distance(images, images)) == 0
        ```

    ??? cite

        Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, NeurIPS
        2017.
    """

    features: Callable[[Any], Any] | None = eqx.field(default=None, kw_only=True, converter=FEATURES)
    """A function that makes features `(batch, d)` of a batch of real, or of generated examples. None by default."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> BothCovariances:
        real, generated = features_of(self.features, y_true, y_pred)
        return BothCovariances(Covariance.of(real, sample_weight), Covariance.of(generated, sample_weight))


def features_of(features: Callable[[Any], Any] | None, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return what a function makes of labels and predictions, as vectors of floats."""
    if features is not None:
        y_true, y_pred = features(y_true), features(y_pred)
    check_vectors(y_true=y_true, y_pred=y_pred)
    return in_floats(y_true, y_pred)
