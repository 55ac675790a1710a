"""The crossentropy of classes of which some are rare."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from .._checks import check_number
from .._converters import integer
from .._describe import array_name
from .._errors import ContractError
from .._terms._classes import without_class
from .._terms._elementwise import all_in_floats, laid_along
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._sparse_categorical_crossentropy import sparse_categorical_crossentropy

Counts: TypeAlias = ArrayLike | Sequence[ArrayLike]


def logit_adjusted(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    class_counts: Counts,
    tau: ArrayLike = 1.0,
    ignore_class: int | None = None,
) -> Float[Array, "..."]:
    r"""The crossentropy of class indices whose logits are raised where a class is frequent,
    $-\log \text{softmax}(z + \tau \log \pi)_y$, so that what is learned are logits $z$ as if all classes were equally
    frequent. With $\tau = 1$ this is the balanced softmax.

    **Arguments:**

    - `y_true`: integers $y$ from 0 to $C - 1$, of the shape `(batch, ...)`.
    - `y_pred`: logits $z$ of the shape `(batch, ..., classes)`. What predicts uses them as they are.
    - `class_counts`: how often each class is the label in the training data, or the shares $\pi$: $C$ positive numbers.
    - `tau`: $\tau \ge 0$. With 0 this is the crossentropy.
    - `ignore_class`: a label that says that there is none: its value is 0.

    **Returns:**

    One value per label, `(batch, ...)`, NaN where it is out of range. In the dtype of `y_pred`, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, `y_true` isn't of an integer dtype, or
    `class_counts` are of another number of classes.

    ??? cite

        Menon et al., *Long-tail Learning via Logit Adjustment*, ICLR 2021. Ren et al., *Balanced Meta-Softmax for
        Long-Tailed Visual Recognition*, NeurIPS 2020.
    """
    (logits,) = all_in_floats({"y_pred": y_pred})
    counts = counts_of(class_counts, logits)
    prior = jnp.asarray(tau, logits.dtype) * jnp.log(counts / jnp.sum(counts))
    adjusted = logits + laid_along(prior, y_pred.ndim - 1, y_pred.ndim)
    return sparse_categorical_crossentropy(y_true, adjusted, from_logits=True, ignore_class=ignore_class)


def counts_of(class_counts: Counts, logits: Array) -> Array:
    """Return how often each class is the label, of the dtype of logits `(batch, ..., classes)`.

    **Raises:** [`treegy.ContractError`][] where the counts are of another number of classes.
    """
    counts = jnp.asarray(class_counts, logits.dtype)
    if counts.shape != logits.shape[-1:]:
        raise ContractError(
            f"`class_counts` is {array_name(counts)}, and one number for each of the classes of `y_pred` "
            f"{array_name(logits)} is expected."
        )
    return counts


def check_counts(class_counts: Counts) -> None:
    """Refuse counts that aren't positive."""
    for count in class_counts if isinstance(class_counts, tuple) else ():
        check_number("class_counts", count, lambda c: c > 0, "a list of positive numbers")


def _as_counts(class_counts: object) -> Any:
    return tuple(class_counts) if isinstance(class_counts, list) else class_counts


as_counts: Callable[[Counts], Counts] = _as_counts


class LogitAdjusted(Loss):
    """The crossentropy of classes of which some are rare: [`treegy.losses.logit_adjusted`][], the balanced softmax.

    With `ignore_class`, its values count neither in the numerator nor in the denominator of the mean.

    **Raises:** `ValueError` where a count isn't positive, or `tau` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.LogitAdjusted(class_counts=[90, 10])
        assert abs(loss(jnp.array([1]), jnp.array([[0.0, 0.0]])) + jnp.log(0.1)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    class_counts: Counts = eqx.field(kw_only=True, converter=as_counts)
    """How often each class is the label in the training data."""
    tau: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """How much of it is made up for: all of it by default."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such values don't count."""

    def __check_init__(self) -> None:
        check_counts(self.class_counts)
        check_number("tau", self.tau, lambda t: t >= 0, "a number from 0 on")

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."] | Masked:
        values = logit_adjusted(
            y_true, y_pred, class_counts=self.class_counts, tau=self.tau, ignore_class=self.ignore_class
        )
        return without_class(values, y_true, y_pred, self.ignore_class)
