"""The leaves of a saved tree: what the manifest says of each, and its bytes."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, is_key, path_name
from .._errors import CheckpointError
from .._placement import placed_like
from .._types import AnyArray, KeyPath


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What the manifest says about one array."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    length: int
    sha256: str
    # JAX promotes weakly typed arrays otherwise than others, and `eqx.nn.State` tells them apart.
    weak_type: bool = False
    # Keys of `jax.random.key` are stored as the words they consist of.
    key_impl: str | None = None
    key_shape: tuple[int, ...] | None = None

    def __post_init__(self):
        # The manifest may come from anywhere: what it says must be what `save_tree` could have written.
        stored = stored_dtype("uint32" if self.key_impl else self.dtype)
        shape = self.stored_shape
        if min(self.offset, *shape, 0) < 0 or self.length != math.prod(shape) * stored.itemsize:
            raise ValueError(f"the size of {self.path}")

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return self.shape if self.key_shape is None else self.key_shape


def stored_dtype(name: str) -> np.dtype[np.generic]:
    """Return the dtype of that name, if it is one of numbers or booleans that JAX and NumPy both know."""
    dtype = jnp.dtype(name)
    plain = jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)
    extended = dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, dtype.itemsize)
    if dtype.name != name or not plain or extended:
        raise TypeError(f"{name} is not a dtype of JAX")
    return dtype


def names_of(paths: Sequence[KeyPath]) -> list[str]:
    """Return paths as text, told apart where a PyTree node of someone's own gives two children the same key."""
    seen: dict[str, int] = {}
    names: list[str] = []
    for path in paths:
        name = path_name(path)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def write_leaves(leaves: Mapping[str, AnyArray], file: IO[bytes]) -> list[Leaf]:
    """Write the bytes of arrays one after the other, and return what the manifest says of each."""
    written: list[Leaf] = []
    for name, leaf in leaves.items():
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            raise CheckpointError(f"`{name}` can't be saved: it is spread over several processes.")
        key_impl, stored = None, leaf
        if isinstance(leaf, jax.Array) and is_key(leaf):
            key_impl, stored = str(jax.random.key_impl(leaf)), jax.random.key_data(leaf)
        array = np.asarray(stored)
        try:
            stored_dtype(array.dtype.name)
        except TypeError:
            raise CheckpointError(
                f"`{name}` can't be saved: JAX has no arrays of dtype {array.dtype}, and treegy writes none."
            ) from None
        content = array.astype(array.dtype.newbyteorder("="), copy=False).tobytes()
        written.append(
            Leaf(
                path=name,
                shape=tuple(leaf.shape),
                dtype=array.dtype.name if key_impl is None else str(leaf.dtype),
                offset=file.tell(),
                length=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                weak_type=isinstance(leaf, jax.Array) and bool(jax.typeof(leaf).weak_type),
                key_impl=key_impl,
                key_shape=None if key_impl is None else array.shape,
            )
        )
        file.write(content)
    return written


def as_leaf(*, shape: Sequence[int], key_shape: Sequence[int] | None, **others: Any) -> Leaf:
    """Return what the manifest says of an array, in which JSON has lists for tuples.

    **Raises:** `TypeError` or `ValueError` for what treegy doesn't write.
    """
    return Leaf(shape=tuple(shape), key_shape=None if key_shape is None else tuple(key_shape), **others)


def read_leaf(leaf: Leaf, like: object, file: IO[bytes]) -> AnyArray:
    """Return an array of the file, as one of NumPy's where `like` is.

    **Raises:** [`treegy.CheckpointError`][] where its bytes aren't those that were saved, or JAX can't have it.
    """
    file.seek(leaf.offset)
    content = file.read(leaf.length)
    if hashlib.sha256(content).hexdigest() != leaf.sha256:
        raise CheckpointError(f"'{file.name}' is damaged: the bytes of `{leaf.path}` are not those that were saved.")
    dtype = stored_dtype("uint32" if leaf.key_impl else leaf.dtype)
    array = np.ndarray(leaf.stored_shape, dtype, content)
    if isinstance(like, np.ndarray):
        return array.copy()
    if isinstance(like, np.generic):
        return array[()]
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise CheckpointError(
            f"`{leaf.path}` was saved as {array_name(leaf)}, which JAX only has when `jax_enable_x64` is on."
        )
    if leaf.key_impl is None:
        return placed_like(like, _weakly_typed(array) if leaf.weak_type else jnp.array(array))
    try:
        return placed_like(like, jax.random.wrap_key_data(jnp.array(array), impl=leaf.key_impl))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The key `{leaf.path}` can't be rebuilt: {error}") from None


def _weakly_typed(array: np.ndarray) -> jax.Array:
    """Return an array of a weak type.

    JAX makes weakly typed arrays of numbers only, but a function that was compiled for one takes any array for it.
    """
    shape = jax.ShapeDtypeStruct(array.shape, array.dtype, weak_type=True)
    return jax.jit(lambda x: x).lower(shape).compile()(jnp.array(array))
