"""Buffers of a fixed capacity, in which examples are kept as they are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..._errors import ContractError


def filled(arrays: tuple[Array, ...], counted: Bool[Array, "batch"], capacity: int) -> tuple[Array, ...]:
    """Return arrays `(batch, ...)` as buffers `(capacity, ...)`: those that are counted first, in their order."""
    front = jnp.argsort(~counted, stable=True)

    def fitted(values: Array) -> Array:
        values = values[front][:capacity]
        return jnp.concatenate([values, jnp.zeros((capacity - len(values), *values.shape[1:]), values.dtype)])

    return tuple(fitted(values) for values in arrays)


def appended(mine: tuple[Array, ...], count: Array, theirs: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return buffers in which others follow the first `count`. What there is no room for is left out."""
    capacity = len(mine[0])
    end = jnp.minimum(count, capacity).astype(jnp.int32)

    def joined(one: Array, other: Array) -> Array:
        room = jnp.concatenate([one, jnp.zeros_like(other)])
        return jax.lax.dynamic_update_slice_in_dim(room, other, end, axis=0)[:capacity]

    return tuple(joined(one, other) for one, other in zip(mine, theirs, strict=True))


def check_room(size: int, capacity: int, sample_weight: Array | None) -> None:
    """Refuse more examples than there is room for, where no weights could take any out."""
    if sample_weight is None and size > capacity:
        raise ContractError(
            f"{size} examples are more than there is room for: pass `capacity=` at least the number of all "
            f"examples of an epoch, instead of {capacity}."
        )
