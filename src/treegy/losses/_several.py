"""Predictions that are several arrays, each with a meaning of its own."""

from jaxtyping import Array

from .._describe import array_name, describe, is_arraylike
from .._errors import ContractError
from .._terms._elementwise import all_in_floats
from .._types import PyTree


def several(y_pred: PyTree, meanings: tuple[str, ...], **others: Array) -> list[Array]:
    """Return the arrays of which `y_pred` consists, followed by `others`: of one shape, in one floating dtype.

    **Arguments:**

    - `y_pred`: a tuple or list of arrays.
    - `meanings`: what each of them is.
    - `others`: arrays that they are compared with, by name.

    **Raises:** [`treegy.ContractError`][] where it isn't that, where the shapes differ, or where one of them isn't of
    real numbers.
    """
    if not (isinstance(y_pred, tuple | list) and len(y_pred) == len(meanings) and all(is_arraylike(p) for p in y_pred)):
        raise ContractError(
            f"`y_pred` is {describe(y_pred)}, and a tuple of {len(meanings)} arrays is expected: "
            f"({', '.join(meanings)})."
        )
    named: dict[str, Array] = {f"y_pred[{i}]": part for i, part in enumerate(y_pred)} | others
    if len({value.shape for value in named.values()}) > 1:
        meant = [f" (the {meaning})" for meaning in meanings] + [""] * len(others)
        shown = [
            f"`{name}`{meaning} {array_name(value)}"
            for (name, value), meaning in zip(named.items(), meant, strict=True)
        ]
        raise ContractError(
            f"{', '.join(shown[:-1])} and {shown[-1]} must have the same shape, since nothing is broadcast."
        )
    return all_in_floats(named)
