"""The labels of sequences, and how long these are."""

from jaxtyping import Array

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import is_integer


def check_labels(y_true: Array, lengths: Array | None) -> None:
    """Refuse labels `(batch, labels)` that aren't integers, and lengths that aren't an integer for each sequence.

    **Raises:** [`treegy.ContractError`][].
    """
    if not is_integer(y_true):
        raise ContractError(
            f"`y_true` {array_name(y_true)} must hold labels, of an integer dtype. Pass `y_true.astype(jnp.int32)` if "
            "that is what it holds."
        )
    if lengths is not None and (lengths.shape != y_true.shape[:1] or not is_integer(lengths)):
        raise ContractError(
            f"`lengths` is {array_name(lengths)}, and one integer for each of the {y_true.shape[0]} sequences is "
            "expected."
        )
