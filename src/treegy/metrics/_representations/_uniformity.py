"""`Uniformity`: how evenly embeddings are spread over the sphere."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num

from ..._converters import fixed_number, integer
from ..._terms._accumulator import safe_divide
from ..._terms._elementwise import all_in_floats, units
from ..._terms._metric import Metric
from .._accumulators._value_of import ValueOf
from ._examples import KeptExamples, check_vectors, kept_examples


class Uniformity(Metric):
    r"""How evenly embeddings are spread over the sphere: the logarithm of the mean of $e^{-t \lVert u - v \rVert^2}$
    over all pairs of different examples, with $u$ and $v$ of length 1. 0 where all embeddings point into one direction,
    and the less the better.

    It is of all examples, however they are cut into batches: the embeddings of up to `capacity` examples are kept. More
    make it NaN. An example counts as often as its weight says. Of fewer than two it is 0.

    **Accepts:** embeddings `y_pred` `(batch, d)`; divided by their length, or by $10^{-7}$ where that is less.

    **Raises:** `ValueError` where `t` isn't positive, or `capacity` is less than 1. [`treegy.ContractError`][] where
    `y_pred` isn't that, or there is no room for a batch.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.Uniformity(capacity=4)(jnp.array([[3.0, 0.0], [-1.0, 0.0]]))
        assert abs(float(batch) + 8) < 1e-5
        ```

    ??? cite

        Wang and Isola, *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
        Hypersphere*, ICML 2020.
    """

    t: float = eqx.field(
        default=2.0, kw_only=True, static=True, converter=fixed_number("t", "a positive number", lambda t: t > 0)
    )
    """What squared distances are multiplied with."""
    capacity: int = eqx.field(
        default=4096,
        kw_only=True,
        static=True,
        converter=integer("capacity", "the number of examples to make room for", least=1),
    )
    """How many examples there is room for."""

    def call(self, y_pred: Num[Array, "batch ..."], sample_weight: Num[Array, "batch"] | None = None) -> ValueOf:
        check_vectors(y_pred=y_pred)
        (embeddings,) = all_in_floats({"y_pred": y_pred})
        return ValueOf(kept_examples((units(embeddings, 1),), sample_weight, self.capacity), _uniformity, t=self.t)


def _uniformity(kept: KeptExamples, t: float) -> Array:
    (vectors,), weight = kept.arrays, kept.weight
    squares = jnp.sum(vectors**2, axis=1)
    products = jnp.matmul(vectors, vectors.T, precision="highest")
    apart = jnp.maximum(squares[:, None] + squares[None, :] - 2 * products, 0)
    near = jnp.where(jnp.eye(len(weight), dtype=bool), 0, jnp.exp(-t * apart))
    total = jnp.sum(weight)
    # An example of weight 2 is near to itself.
    mean = safe_divide(jnp.sum(weight * (near @ weight + (weight - 1))), total * (total - 1))
    value = jnp.log(jnp.where(total > 1, mean, jnp.ones_like(mean)))
    return kept.unless_full(value)
