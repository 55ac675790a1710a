"""What a checkpoint holds: dicts, lists, tuples, numbers, strings, `None`, and arrays among them, as JSON and arrays.

They come back as what they were: NumPy's arrays and numbers with their dtypes, JAX's as JAX's, keys of any kind.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import is_key
from .._errors import CheckpointError
from .._types import AnyArray

MODEL, RUN = "treegy model", "treegy run"
VERSIONS = {MODEL: 1, RUN: 4}
"""The formats of documents, and the version of each that this treegy writes and reads."""

_ARRAY, _TUPLE, _PAIRS = "@array", "@tuple", "@dict"


class Described(NamedTuple):
    """What a document says of an array that is stored elsewhere."""

    name: str
    """The one under which it is stored."""
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    kind: str
    """`jax`, `numpy`, or `number` for one of NumPy's numbers."""
    key: str | None
    """The implementation of a typed PRNG key, whose key data is what is stored."""


def checked(document: object, where: str, *formats: str) -> Mapping[str, object]:
    """Return `document`, if it is of one of these formats.

    **Raises:** [`treegy.CheckpointError`][] that says who wrote it.
    """
    fields: Mapping[str, object] = document if isinstance(document, Mapping) else {}
    found, version = fields.get("format"), fields.get("version")
    if not isinstance(found, str) or found not in formats or type(version) is not int:
        raise CheckpointError(f"{where} holds checkpoints that treegy has not written, or not for this: {found!r:.50}.")
    if version != VERSIONS[found]:
        who = "a newer treegy: install that" if version > VERSIONS[found] else "an older treegy"
        raise CheckpointError(
            f"{where} holds a {found!r} of version {version}, and this treegy reads version {VERSIONS[found]}. It was "
            f"written by {who}."
        )
    return fields


def states_in(document: Mapping[str, object], where: str, name: str = "states") -> dict[str, AnyArray]:
    """Return the arrays of a model in a document, by their paths; none where there is `None`.

    **Raises:** [`treegy.CheckpointError`][] if that isn't what treegy writes.
    """
    found = document.get(name)
    if found is None and name != "states":
        return {}
    if not isinstance(found, dict) or not all(isinstance(v, AnyArray) for v in found.values()):
        raise CheckpointError(f"{where} holds a checkpoint whose {name!r} are not what treegy writes.")
    return found


def encoded(value: object, arrays: dict[str, jax.Array | np.ndarray], name: str = "") -> object:
    """Return a document for JSON: its arrays are put into `arrays`, and a description of each in its place.

    **Raises:** [`treegy.CheckpointError`][] for what would not come back as what it is.
    """
    if isinstance(value, AnyArray):
        return _described(value, arrays, name)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if all(type(key) is str and not key.startswith("@") for key in value):
            return {key: encoded(v, arrays, f"{name}[{key!r}]") for key, v in value.items()}
        return {
            _PAIRS: [
                [encoded(key, arrays, f"{name}[{key!r}]"), encoded(v, arrays, f"{name}[{key!r}]")]
                for key, v in value.items()
            ]
        }
    if isinstance(value, list) or type(value) is tuple:
        items = [encoded(v, arrays, f"{name}[{i}]") for i, v in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    raise CheckpointError(
        f"`{name}` is an instance of {type(value).__name__}, which can't be written into a checkpoint: expected are "
        "numbers, strings, arrays, and lists, tuples and dicts of these."
    )


def _described(value: AnyArray, arrays: dict[str, jax.Array | np.ndarray], name: str) -> dict[str, object]:
    key, stored = None, value
    if isinstance(value, jax.Array) and is_key(value):
        key, stored = str(jax.random.key_impl(value)), jax.random.key_data(value)
    kind = "jax" if isinstance(value, jax.Array) else "numpy" if isinstance(value, np.ndarray) else "number"
    check_is_numbers(name, stored)
    index = str(len(arrays))
    arrays[index] = np.asarray(stored) if isinstance(stored, np.generic) else stored
    meta: dict[str, object] = {_ARRAY: index, "shape": list(stored.shape), "dtype": str(stored.dtype), "kind": kind}
    return meta if key is None else {**meta, "key": key}


def check_is_numbers(name: str, array: AnyArray) -> None:
    """**Raises:** [`treegy.CheckpointError`][] for an array that this process can't write, or that holds no numbers."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        raise CheckpointError(f"`{name}` can't be written into a checkpoint: it is spread over several processes.")
    if not (jnp.issubdtype(array.dtype, jnp.number) or jnp.issubdtype(array.dtype, jnp.bool_)):
        raise CheckpointError(
            f"`{name}` is an array of dtype {array.dtype}, which can't be written into a checkpoint: expected are "
            "numbers and booleans."
        )


def stored_arrays(document: object) -> list[Described]:
    """Return what `encoded` says about each of the arrays that it has put aside."""
    if isinstance(document, list):
        return [described for item in document for described in stored_arrays(item)]
    if not isinstance(document, dict):
        return []
    return [_as_described(document)] if _ARRAY in document else stored_arrays(list(document.values()))


def _as_described(meta: Mapping[str, object]) -> Described:
    match meta:
        case {"@array": str(name), "shape": list(shape), "dtype": str(dtype), "kind": str(kind)}:
            key = meta.get("key")
            return Described(name, tuple(shape), jnp.dtype(dtype), kind, None if key is None else str(key))
        case _:
            raise ValueError("an array is described otherwise than treegy does")


def decoded(value: object, arrays: Mapping[str, np.ndarray]) -> object:
    """Return the document, of what `encoded` made of it.

    **Raises:** [`treegy.CheckpointError`][] for arrays that JAX doesn't have as it is set up.
    """
    if isinstance(value, list):
        return [decoded(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        described = _as_described(value)
        return _array(described, arrays[described.name])
    if _TUPLE in value:
        return tuple(decoded(item, arrays) for item in value[_TUPLE])
    if _PAIRS in value:
        return {decoded(key, arrays): decoded(v, arrays) for key, v in value[_PAIRS]}
    return {key: decoded(v, arrays) for key, v in value.items()}


def _array(described: Described, array: np.ndarray) -> AnyArray:
    if described.kind == "numpy":
        return array
    if described.kind == "number":
        return array[()]
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise CheckpointError(f"it holds arrays of {array.dtype}, which JAX only has when `jax_enable_x64` is on.")
    there = jnp.array(array)
    return there if described.key is None else jax.random.wrap_key_data(there, impl=described.key)
