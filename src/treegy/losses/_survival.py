"""Times until something happens, and whether it did: what losses and metrics of survival take for labels."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import in_floats


class Survival(NamedTuple):
    """What is known of each example, and what is predicted."""

    time: Float[Array, "batch"]
    event: Bool[Array, "batch"]
    unknown: Bool[Array, "batch"]
    """Whether the second column is neither 0 nor 1, or the time is NaN."""
    predicted: Float[Array, "batch ..."]


def survival(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], axes: int, expected: str) -> Survival:
    """Return the columns of `y_true`, and `y_pred` in floats.

    **Arguments:**

    - `axes`: how many axes `y_pred` has.
    - `expected`: its shape in words.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't `(batch, 2)` and that.
    """
    if y_true.ndim != 2 or y_true.shape[1] != 2 or y_pred.ndim != axes or y_pred.shape[:1] != y_true.shape[:1]:
        mend = " Pass `y_pred[..., 0]`." if axes == 1 and y_pred.shape == (*y_true.shape[:1], 1) else ""
        raise ContractError(
            f"`y_true` {array_name(y_true)} must hold two columns, (batch, 2): the time, and 1 if it happened then or "
            f"0 if not yet; and `y_pred` {array_name(y_pred)} {expected}.{mend}"
        )
    labels, predicted = in_floats(y_true, y_pred)
    time, event = labels[:, 0], labels[:, 1]
    unknown = ((event != 0) & (event != 1)) | jnp.isnan(time)
    return Survival(time, event == 1, unknown, predicted)
