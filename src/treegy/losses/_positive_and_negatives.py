"""The score of what was chosen, and those of what wasn't."""

from collections.abc import Sequence

from jaxtyping import Array, Float

from .._describe import array_name, describe, is_arraylike
from .._errors import ContractError
from .._terms._elementwise import all_in_floats
from .._types import AnyArray, PyTree


def positive_and_negatives(
    y_pred: PyTree, *, corrected: bool = False
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return the scores of what was chosen `(batch, ...)` and of what wasn't `(batch, ..., negatives)`.

    **Arguments:**

    - `y_pred`: both of them; negatives of the shape of the positive are one for each.
    - `corrected`: whether logarithms of how likely each is to be drawn may follow, which are subtracted then.

    **Raises:** [`treegy.ContractError`][] where it isn't that.
    """
    names = ("positive", "negatives", "log_q_positive", "log_q_negatives")[: 4 if corrected else 2]
    parts: Sequence[AnyArray] = y_pred if isinstance(y_pred, tuple | list) else ()
    if len(parts) not in {2, len(names)} or not all(is_arraylike(part) for part in parts):
        more = f", or ({', '.join(names)})" if corrected else ""
        raise ContractError(f"`y_pred` is {describe(y_pred)}, and a tuple (positive, negatives){more} is expected.")
    for i in range(0, len(parts), 2):
        _check(parts, i)
    named = {f"y_pred[{i}]": part for i, part in enumerate(parts)}
    positive, negatives, *log_q = all_in_floats(named)
    if log_q:
        positive, negatives = positive - log_q[0], negatives - log_q[1].reshape(negatives.shape)
    return positive, negatives.reshape((*positive.shape, -1))


def _check(parts: Sequence[AnyArray], i: int) -> None:
    one, several = parts[i], parts[i + 1]
    if one.shape != parts[0].shape or several.shape != parts[1].shape or several.shape[: one.ndim] != one.shape:
        raise ContractError(
            f"`y_pred[{i}]` {array_name(one)} and `y_pred[{i + 1}]` {array_name(several)} must be of shapes like "
            "(batch,) and (batch, negatives), or of the same shape: nothing is broadcast."
        )
    if several.ndim > one.ndim + 1:
        raise ContractError(
            f"`y_pred[{i + 1}]` is {array_name(several)}, which has more than one axis more than `y_pred[{i}]` "
            f"{array_name(one)}."
        )
