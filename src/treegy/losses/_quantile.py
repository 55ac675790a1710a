"""The pinball loss, which is least where quantiles are predicted."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._describe import array_name, describe
from .._errors import ContractError
from .._terms._elementwise import check_same_shape, in_floats, laid_along, mean_over_last_axis
from .._terms._loss import Loss

Quantiles: TypeAlias = ArrayLike | Sequence[ArrayLike]


def quantile(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, q: Quantiles = 0.5) -> Float[Array, "..."]:
    r"""The pinball loss averaged over the last axis, $\frac{1}{d}\sum_i \max(q e_i, (q - 1) e_i)$ with
    $e = y - \hat y$.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: predictions of the quantile $q$, of the same shape; or, for several, `(batch, ..., quantiles)`, over
        which is averaged, too. Nothing else is broadcast.
    - `q`: which quantile, between 0 and 1, or a list of them. For 0.5, the median, this is half the absolute error.

    **Returns:**

    One value per example: `y_true` of the shape `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the
    dtype of the arguments, at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these.

    ??? cite

        Koenker and Bassett, *Regression Quantiles*, Econometrica 46 (1978).
    """
    target, predicted = in_floats(y_true, y_pred)
    q = jnp.asarray(q, predicted.dtype)
    if q.ndim == 0:
        check_same_shape(y_true, y_pred)
        return mean_over_last_axis(_pinball(target - predicted, q))
    expected = (*y_true.shape, *q.shape)
    if y_pred.shape != expected:
        raise ContractError(
            f"`y_pred` is {array_name(y_pred)}, and for {q.size} quantiles of `y_true` {array_name(y_true)} the shape "
            f"({', '.join(map(str, expected))}) is expected: one more axis at the end."
        )
    errors = target[..., None] - predicted
    return mean_over_last_axis(jnp.mean(_pinball(errors, laid_along(q, errors.ndim - 1, errors.ndim)), axis=-1))


def _pinball(errors: Array, q: Array) -> Array:
    return jnp.maximum(q * errors, (q - 1) * errors)


def _as_tuple(q: object) -> Any:
    return tuple(q) if isinstance(q, list) else q


as_quantiles: Callable[[Quantiles], Quantiles] = _as_tuple


def check_quantiles(q: Quantiles, *, several: bool = False) -> None:
    """Refuse what isn't a number between 0 and 1, or numbers that aren't; with `several`, also a single number."""
    if several and not isinstance(q, tuple):
        raise TypeError(f"`q` is a list of numbers between 0 and 1, and got {describe(q)}.")
    each = q if isinstance(q, tuple) else (q,)
    if not each:
        raise ValueError("`q` is empty: give at least one quantile.")
    for one in each:
        check_number("q", one, lambda q: 0 < q < 1, "a number between 0 and 1, or a list of them")


class Quantile(Loss):
    r"""The pinball loss: [`treegy.losses.quantile`][].

    **Raises:** `ValueError` where `q` isn't between 0 and 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        assert tg.losses.Quantile(q=0.75)(jnp.array([4.0, 0.0]), jnp.array([0.0, 4.0])) == 2
        low_and_high = tg.losses.Quantile(q=[0.25, 0.75])
        assert low_and_high(jnp.array([4.0]), jnp.array([[0.0, 4.0]])) == 0.5
        ```
    """

    elementwise: ClassVar[bool] = True

    q: Quantiles = eqx.field(default=0.5, kw_only=True, converter=as_quantiles)
    """Which quantile, between 0 and 1, or a list of them: one for each component of the last axis of `y_pred`."""

    def __check_init__(self) -> None:
        check_quantiles(self.q)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return quantile(y_true, y_pred, q=self.q)
