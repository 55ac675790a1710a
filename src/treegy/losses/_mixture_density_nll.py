"""The loss of predictions that are several normal distributions at once."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import all_in_floats, mean_over_last_axis
from .._terms._loss import Loss
from .._types import PyTree
from ._bounded import bounded, unless_negative
from ._crossentropy import log_softmax
from ._several import several
from ._stirling import HALF_LOG_2_PI

# Standard deviations whose square fits into float32.
_FAR = 1e15


def mixture_density_nll(y_true: Shaped[Array, "..."], y_pred: PyTree, *, eps: ArrayLike = 1e-6) -> Float[Array, "..."]:
    r"""The negative logarithm of the likelihood under mixtures of normal distributions, averaged over the last axis,
    $-\frac{1}{d}\sum_i \log \sum_k \pi_{ik}\, \mathcal N(y_i; \mu_{ik}, v_{ik})$.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: `(logits, means, variances)`, each of the shape `(batch, ..., components)`: logits of the weights
        $\pi = \text{softmax}$, $\mu$ and $v$. Nothing else is broadcast. Variances below `eps` count as `eps`; a
        negative one gives NaN. What is further off than $10^{15}$ standard deviations counts as so far.
    - `eps`: the least variance.

    **Returns:**

    One value per example: `y_true` of the shape `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the
    dtype of the arguments, at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't three arrays, or the shapes aren't these.

    ??? cite

        Bishop, *Mixture Density Networks*, Technical Report NCRG/94/004, Aston University (1994).
    """
    logits, means, variances = several(y_pred, ("logits", "means", "variances"))
    if logits.ndim != y_true.ndim + 1 or logits.shape[:-1] != y_true.shape:
        raise ContractError(
            f"`y_pred[0]` (the logits) {array_name(logits)} must have one more axis at the end than `y_true` "
            f"{array_name(y_true)}, that of the components."
        )
    logits, means, variances, y = all_in_floats(
        {"y_pred[0]": logits, "y_pred[1]": means, "y_pred[2]": variances, "y_true": y_true}
    )
    deviations = jnp.sqrt(bounded(variances, eps))
    errors = y[..., None] - means
    near = jnp.abs(errors) < _FAR * deviations
    # Selected before, since what is further off would have a slope that isn't a number.
    z = jnp.where(near, jnp.where(near, errors, jnp.zeros_like(errors)) / deviations, jnp.full_like(errors, _FAR))
    each = log_softmax(logits, -1) - z**2 / 2 - jnp.log(deviations) - HALF_LOG_2_PI
    each = unless_negative(each, variances)
    return mean_over_last_axis(-jax.nn.logsumexp(each, axis=-1))


class MixtureDensityNLL(Loss):
    r"""The negative logarithm of the likelihood of a mixture of normal distributions:
    [`treegy.losses.mixture_density_nll`][].

    **Raises:** `ValueError` where `eps` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.MixtureDensityNLL()
        logits, means, variances = jnp.zeros((1, 2)), jnp.array([[-3.0, 3.0]]), jnp.ones((1, 2))
        assert loss(jnp.array([3.0]), (logits, means, variances)) < loss(jnp.array([0.0]), (logits, means, variances))
        ```
    """

    elementwise: ClassVar[bool] = True

    eps: ArrayLike = eqx.field(default=1e-6, kw_only=True)
    """The least variance."""

    def __check_init__(self) -> None:
        check_number("eps", self.eps, lambda e: e > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: PyTree) -> Float[Array, "batch ..."]:
        return mixture_density_nll(y_true, y_pred, eps=self.eps)
