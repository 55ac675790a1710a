"""The continuous ranked probability score of ensembles: of samples from what is predicted."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._converters import flag
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import absolute, in_floats, laid_along, mean_over_last_axis
from .._terms._loss import Loss


def ensemble_crps(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, fair: bool = False
) -> Float[Array, "..."]:
    r"""The continuous ranked probability score of ensembles of $m$ members $x_j$, averaged over the last axis of the
    labels, in their unit,

    $$
    \frac{1}{d}\sum_i \left(\frac{1}{m}\sum_j |x_{ij} - y_i| - \frac{1}{2 m^2}\sum_{jk} |x_{ij} - x_{ik}|\right).
    $$

    It is the integral of the squared difference between the distribution function of the members and that of the
    label, and the absolute error of a single member.

    **Arguments:**

    - `y_true`: real numbers of the shape `(batch, ...)`.
    - `y_pred`: the members, of the shape `(batch, ..., members)`, in any order. Nothing else is broadcast.
    - `fair`: whether the last sum is divided by $2 m (m - 1)$, so that on average it is the score of the distribution
        that the members are drawn from, however many there are. Such a score may be negative.

    **Returns:**

    One value per example: `y_true` of the shape `(batch, ..., d)` gives `(batch, ...)`, and `(batch,)` stays. In the
    dtype of the arguments, at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `fair` scores are of one member.

    ??? cite

        Ferro, *Fair Scores for Ensemble Forecasts*, Quarterly Journal of the Royal Meteorological Society 140 (2014).
    """
    members = y_pred.shape[-1] if y_pred.ndim > y_true.ndim else 0
    if y_pred.shape != (*y_true.shape, members) or members == 0:
        raise ContractError(
            f"`y_pred` is {array_name(y_pred)}, and members of an ensemble for each `y_true` {array_name(y_true)} are "
            f"expected, of the shape ({', '.join([*map(str, y_true.shape), 'members'])}): one more axis at the end."
        )
    check_fair(fair, members)
    target, predicted = in_floats(y_true, y_pred)
    errors = predicted - target[..., None]
    # Each member adds as much as others are below it less than above it: so pairs needn't be compared.
    beside = (2 * jnp.arange(members, dtype=errors.dtype) - (members - 1)) / pairs_of(members, fair)
    spread = jnp.sum(jnp.sort(errors, axis=-1) * laid_along(beside, errors.ndim - 1, errors.ndim), axis=-1)
    return mean_over_last_axis(jnp.mean(absolute(errors), axis=-1) - spread)


def check_fair(fair: bool, members: int) -> None:
    if fair and members == 1:
        raise ContractError("`fair` scores are of at least 2 members, and `y_pred` has 1.")


def pairs_of(members: int, fair: bool) -> int:
    """Return by how many pairs of members their distances are divided."""
    return members * (members - 1 if fair else members)


class EnsembleCRPS(Loss):
    r"""The continuous ranked probability score of ensembles: [`treegy.losses.ensemble_crps`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true, members = jnp.array([0.0]), jnp.array([[1.0, 3.0]])
        assert tg.losses.EnsembleCRPS()(y_true, members) == 1.5
        assert tg.losses.EnsembleCRPS(fair=True)(y_true, members) == 1
        ```
    """

    elementwise: ClassVar[bool] = True

    fair: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("fair"))
    """Whether, on average, it is the score of the distribution that the members are drawn from."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return ensemble_crps(y_true, y_pred, fair=self.fair)
