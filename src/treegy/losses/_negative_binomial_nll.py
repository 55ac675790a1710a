"""The loss of counts that vary more than Poisson's."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from .._terms._elementwise import EPSILON, mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._several import several
from ._stirling import HALF_LOG_2_PI, stirling_error
from ._unit_deviance import unit_deviance

# Beyond these, products of means and dispersions wouldn't fit into float32.
_MOST_MEAN, _MOST_DISPERSION = 1e30, 1e7


def negative_binomial_nll(y_true: Shaped[Array, "..."], y_pred: PyTree) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood of counts under negative binomial distributions of the mean $\mu$ and
    the variance $\mu + \alpha \mu^2$, averaged over the last axis. With $r = 1 / \alpha$,

    $$
    -\frac{1}{d}\sum_i \log \left(\frac{\Gamma(y_i + r_i)}{\Gamma(r_i)\, y_i!}
    \left(\frac{r_i}{r_i + \mu_i}\right)^{r_i} \left(\frac{\mu_i}{r_i + \mu_i}\right)^{y_i}\right).
    $$

    A dispersion $\alpha$ of 0 gives the Poisson distribution.

    **Arguments:**

    - `y_true`: counts of the shape `(batch, ...)`. Integers will do; a negative one gives NaN.
    - `y_pred`: `(mean, dispersion)`: $\mu$ and $\alpha$, each of that shape, not negative: a negative one gives NaN.
        Nothing is broadcast. Both count as at least $10^{-7}$, dispersions as at most $10^7$ and means as at most
        $10^{30}$.

    **Returns:**

    One value per example: `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the dtype of the arguments,
    at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays, or the shapes differ.

    ??? cite

        Loader, *Fast and Accurate Computation of Binomial Probabilities* (2000).
    """
    mean, dispersion, y = several(y_pred, ("mean", "dispersion"), y_true=y_true)
    return mean_over_last_axis(negative_binomial_values(y, mean, dispersion))


def negative_binomial_values(y: Array, mean: Array, dispersion: Array) -> Array:
    """Return the value of each element, by binomial deviances, which stay exact where counts or $r$ are large."""
    mu, r = bounded(mean, EPSILON, _MOST_MEAN), 1 / bounded(dispersion, EPSILON, _MOST_DISPERSION)
    none = r * jnp.log1p(mu / r)
    count = jnp.where(y > 0, y, jnp.ones_like(y))
    both = r + count
    expected = [unit_deviance(n, both * (of / (r + mu)), 1.0) / 2 for n, of in ((r, r), (count, mu))]
    # Stirling's formula is how far the binomial coefficient is from that of deviances.
    rounding = stirling_error(r) + stirling_error(count) - stirling_error(both)
    some = (jnp.log(count) + jnp.log(both) - jnp.log(r)) / 2 + HALF_LOG_2_PI + expected[0] + expected[1] + rounding
    return unless_negative(jnp.where(y > 0, some, none), y, mean, dispersion)


class NegativeBinomialNLL(Loss):
    r"""The negative logarithm of a negative binomial likelihood: [`treegy.losses.negative_binomial_nll`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.NegativeBinomialNLL()
        geometric = loss(jnp.array([2]), (jnp.array([1.0]), jnp.array([1.0])))
        assert abs(geometric - jnp.log(8)) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return negative_binomial_nll(y_true, y_pred)
