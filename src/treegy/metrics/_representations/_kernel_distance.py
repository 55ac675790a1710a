"""`KernelDistance`: the discrepancy of real and generated features by a polynomial kernel; of Inception's, the KID."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import integer
from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import check_same_shape
from ..._terms._metric import Metric
from ..._terms._powers import exponent_of, times_power
from .._accumulators._value_of import ValueOf
from ._examples import KeptExamples, kept_examples
from ._frechet_distance import FEATURES, features_of


class KernelDistance(Metric):
    r"""How far the features of generated examples are from those of real ones, by the mean similarities within and
    between them,

    $$
    \frac{1}{n (n - 1)} \sum_{i \ne j} \left(k(y_i, y_j) + k(\hat y_i, \hat y_j)\right)
    - \frac{2}{n^2} \sum_{i, j} k(y_i, \hat y_j), \qquad k(u, v) = \left(\frac{u \cdot v}{d} + 1\right)^3
    $$

    With the features of an Inception network it is the KID. It is unbiased, and so may be negative. It is of all
    examples, where others take the mean over random subsets of them: the features of up to `capacity` examples are
    kept. More make it NaN.

    **Accepts:** `y_true` and `y_pred` `(batch, d)`, features of real and of generated examples; or anything of which
    `features` makes these. Which of them stand side by side doesn't matter. An example counts as often as its weight
    says. Of fewer than two it is 0.

    **Raises:** `TypeError` where `features` isn't a function, `ValueError` where `capacity` is less than 1.
    [`treegy.ContractError`][] where the features aren't `(batch, d)`, or there is no room for a batch.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        distance = tg.metrics.KernelDistance(capacity=10)
        some = distance(jnp.array([[0.0]]), jnp.array([[1.0]]))
        more = distance(jnp.array([[0.0]]), jnp.array([[1.0]]))
        assert abs(float(some.merge(more)) - (1 + 8 - 2)) < 1e-5
        ```

    ??? cite

        Bińkowski et al., *Demystifying MMD GANs*, ICLR 2018.
    """

    features: Callable[[Any], Any] | None = eqx.field(default=None, kw_only=True, converter=FEATURES)
    """A function that makes features `(batch, d)` of a batch of real, or of generated examples. None by default."""
    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of examples to make room for", least=1),
    )
    """How many examples there is room for."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        both = features_of(self.features, y_true, y_pred)
        check_same_shape(*both)
        return ValueOf(kept_examples(both, sample_weight, self.capacity), _distance)


def _distance(kept: KeptExamples) -> Array:
    (real, generated), weight = kept.arrays, kept.weight
    total = jnp.sum(weight)
    # Large features are divided by a power of two, so that differences of infinities don't arise.
    largest = jnp.maximum(jnp.max(jnp.abs(real), initial=0), jnp.max(jnp.abs(generated), initial=0))
    exponent = jnp.maximum(exponent_of(largest), 0)
    real, generated = times_power(real, -exponent), times_power(generated, -exponent)
    one = times_power(jnp.ones_like(largest), -2 * exponent)

    def similar(u: Array, v: Array) -> Array:
        """The kernel without its constant of 1, which cancels."""
        product = jnp.matmul(u, v.T, precision="highest") / u.shape[1]
        return product * (product * (product + 3 * one) + 3 * one**2)

    def within(u: Array) -> Array:
        """The mean over pairs of different examples: of weight 2 one is a pair with itself."""
        similarities = similar(u, u)
        each = weight * (similarities @ weight - jnp.diagonal(similarities))
        return safe_divide(jnp.sum(each), total * (total - 1))

    between = safe_divide(weight @ similar(real, generated) @ weight, total * total)
    value = jnp.where(total > 1, within(real) + within(generated) - 2 * between, jnp.zeros_like(total))
    return kept.unless_full(times_power(value, 6 * exponent))
