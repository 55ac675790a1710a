"""Classes that have an order, and the thresholds between them: what CORAL and CORN share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import all_in_floats, is_integer


class Ordinal(NamedTuple):
    """Labels as seen from the thresholds."""

    logits: Float[Array, "*batch thresholds"]
    above: Bool[Array, "*batch thresholds"]
    """Whether the label is above the threshold $k$, $y > k$."""
    reached: Bool[Array, "*batch thresholds"]
    """Whether the label is above the thresholds before it, $y \\ge k$."""
    outside: Bool[Array, "*batch"]
    """Whether there is no such class."""

    @property
    def values(self) -> Float[Array, "*batch thresholds"]:
        """The crossentropy at each threshold."""
        return jax.nn.softplus(jnp.where(self.above, -self.logits, self.logits))


def ordinal(y_true: Array, y_pred: Array) -> Ordinal:
    """Compare labels `(batch, ...)` with the thresholds of logits `(batch, ..., classes - 1)`.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or labels aren't of an integer dtype.
    """
    if y_pred.ndim < 2 or y_true.shape != y_pred.shape[:-1]:
        raise ContractError(
            f"`y_true` {array_name(y_true)} must hold a class index for each `y_pred` {array_name(y_pred)}, which has "
            "a logit for each threshold between two classes: shapes like (batch,) and (batch, classes - 1) are "
            "expected."
        )
    if not is_integer(y_true):
        raise ContractError(
            f"`y_true` {array_name(y_true)} must hold class indices, of an integer dtype. Pass "
            "`y_true.astype(jnp.int32)` if that is what it holds."
        )
    (logits,) = all_in_floats({"y_pred": y_pred})
    # Small and unsigned integers couldn't be compared with -1 or with the number of classes.
    labels = jnp.asarray(y_true) if y_true.dtype == jnp.int64 else y_true.astype(jnp.int32)
    threshold = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    outside = (labels < 0) | (labels > logits.shape[-1])
    return Ordinal(logits, labels[..., None] > threshold, labels[..., None] >= threshold, outside)
