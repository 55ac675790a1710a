"""What keeps a model of sequences from saying again what was said before."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from .._converters import flag, integer
from .._describe import array_name
from .._errors import ContractError
from .._terms._classes import class_labels
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from .._terms._weights import Masked
from ._crossentropy import log_of_others


def unlikelihood(
    y_true: Shaped[Array, "..."],
    y_pred: Float[Array, "..."],
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
) -> Float[Array, "..."]:
    r"""How likely ids are that came before: $-\sum_c \log (1 - p_{tc})$ over the different ids $c$ of $y_1, \dots,
    y_{t - 1}$ that aren't $y_t$.

    **Arguments:**

    - `y_true`: ids, integers of the shape `(batch, steps)`.
    - `y_pred`: probabilities of the shape `(batch, steps, ids)`, those of each step given the ids before it. They are
        divided by their sum, and $1 - p$ is clipped to $[10^{-7}, 1 - 10^{-7}]$.
    - `from_logits`: whether `y_pred` holds logits instead; nothing is clipped then.
    - `ignore_class`: an id that says that there is none, as of padding: the value there is 0.

    **Returns:**

    One value per step, `(batch, steps)`. In the dtype of `y_pred`, at least float32. Nothing is averaged over examples;
    see [`treegy.Loss`][]. An id that is out of range is nowhere, and no error: the crossentropy beside it tells.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Welleck et al., *Neural Text Generation with Unlikelihood Training*, ICLR 2020.
    """
    labels = class_labels(y_true, y_pred)
    if y_pred.ndim != 3:
        raise ContractError(
            f"`y_pred` is {array_name(y_pred)}, and predictions of a shape like (batch, steps, ids) are expected."
        )
    _, y_pred = in_floats(y_true, y_pred)
    logs = log_of_others(y_pred, -1, from_logits=from_logits)
    wrong = _said_before(labels, y_pred.shape[-1], ignore_class)
    return -jnp.sum(jnp.where(wrong, logs, jnp.zeros_like(logs)), axis=-1)


def _said_before(labels: Array, classes: int, ignore_class: int | None) -> Bool[Array, "batch steps ids"]:
    """Return which ids came before each step and aren't its own; none where there is no label."""
    ids = jax.lax.broadcasted_iota(labels.dtype, (*labels.shape, classes), 2)
    own = ids == labels[..., None]
    if ignore_class is not None:
        own = own & (labels != ignore_class)[..., None]
    so_far = jax.lax.cummax(own.astype(jnp.int32), axis=1) > 0
    wrong = so_far & ~own  # of what came up to here, what isn't said here came before
    return wrong if ignore_class is None else wrong & (labels != ignore_class)[..., None]


class Unlikelihood(Loss):
    """How likely ids are that came before: [`treegy.losses.unlikelihood`][]. It is added to a crossentropy.

    With `ignore_class`, its values count neither in the numerator nor in the denominator of the mean.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Unlikelihood(reduction="none")
        y_pred = jnp.array([[[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]])
        values = loss(jnp.array([[0, 1]]), y_pred)
        assert jnp.allclose(values, jnp.array([[0.0, -jnp.log(0.5)]]))
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """An id that says that there is none: such steps don't count."""

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."] | Masked:
        values = unlikelihood(y_true, y_pred, from_logits=self.from_logits, ignore_class=self.ignore_class)
        return values if self.ignore_class is None else Masked(values, y_true != self.ignore_class)
