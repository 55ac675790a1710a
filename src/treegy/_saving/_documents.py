"""What a checkpoint holds: dicts, lists, tuples, numbers, strings, `None`, and arrays among them, as JSON and arrays.

They come back as what they were: NumPy's arrays and numbers with their dtypes, JAX's as JAX's, keys of any kind.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import is_key
from .._errors import CheckpointError

MODEL, RUN = "treegy model", "treegy run"
VERSIONS = {MODEL: 1, RUN: 3}
"""The formats of documents, and the version of each that this treegy writes and reads."""

_ARRAY, _TUPLE, _PAIRS = "@array", "@tuple", "@dict"


def checked(document: Any, where: str, *formats: str) -> Any:
    """`document`, if it is of one of these formats.

    **Raises:** [`treegy.CheckpointError`][] that says who wrote it.
    """
    found, version = (document.get(n) if isinstance(document, Mapping) else None for n in ("format", "version"))
    if not isinstance(found, str) or found not in formats or type(version) is not int:
        raise CheckpointError(f"{where} holds checkpoints that treegy has not written, or not for this: {found!r:.50}.")
    if version != VERSIONS[found]:
        who = "a newer treegy: install that" if version > VERSIONS[found] else "an older treegy"
        raise CheckpointError(
            f"{where} holds a {found!r} of version {version}, and this treegy reads version {VERSIONS[found]}. It was "
            f"written by {who}."
        )
    return document


def states_in(document: Any, where: str, name: str = "states") -> dict[str, Any]:
    """The arrays of a model in a document, by their paths; none where there is `None`.

    **Raises:** [`treegy.CheckpointError`][] if that isn't what treegy writes.
    """
    found: Any = document.get(name)
    if found is None and name != "states":
        return {}
    if not isinstance(found, dict) or not all(
        isinstance(v, jax.Array | np.ndarray | np.generic) for v in found.values()
    ):
        raise CheckpointError(f"{where} holds a checkpoint whose {name!r} are not what treegy writes.")
    return found


def encoded(value: Any, arrays: dict[str, Any], name: str = "") -> Any:
    """A document for JSON: its arrays are put into `arrays`, and a description of each in its place.

    **Raises:** [`treegy.CheckpointError`][] for what would not come back as what it is.
    """
    if isinstance(value, jax.Array | np.ndarray | np.generic):
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


def _described(value: Any, arrays: dict[str, Any], name: str) -> dict[str, Any]:
    key = isinstance(value, jax.Array) and is_key(value)
    stored: Any = jax.random.key_data(value) if key else value
    kind = "jax" if isinstance(value, jax.Array) else "numpy" if isinstance(value, np.ndarray) else "number"
    check_is_numbers(name, stored)
    index = str(len(arrays))
    arrays[index] = np.asarray(stored) if kind == "number" else stored
    meta = {_ARRAY: index, "shape": list(stored.shape), "dtype": str(stored.dtype), "kind": kind}
    return {**meta, "key": str(jax.random.key_impl(value))} if key else meta


def check_is_numbers(name: str, array: Any) -> None:
    """**Raises:** [`treegy.CheckpointError`][] for an array that this process can't write, or that holds no numbers."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        raise CheckpointError(f"`{name}` can't be written into a checkpoint: it is spread over several processes.")
    if not (jnp.issubdtype(array.dtype, jnp.number) or jnp.issubdtype(array.dtype, jnp.bool_)):
        raise CheckpointError(
            f"`{name}` is an array of dtype {array.dtype}, which can't be written into a checkpoint: expected are "
            "numbers and booleans."
        )


def stored_arrays(document: Any) -> dict[str, Any]:
    """What `encoded` says about each of the arrays that it has put aside."""
    if isinstance(document, list):
        return {name: meta for item in document for name, meta in stored_arrays(item).items()}
    if not isinstance(document, dict):
        return {}
    return {document[_ARRAY]: document} if _ARRAY in document else stored_arrays(list(document.values()))


def array_dtype(meta: Mapping[str, Any]) -> Any:
    """The dtype of an array that `encoded` has put aside."""
    return jnp.dtype(meta["dtype"])


def decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    """The document, of what `encoded` made of it.

    **Raises:** [`treegy.CheckpointError`][] for arrays that JAX doesn't have as it is set up.
    """
    if isinstance(value, list):
        return [decoded(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return _array(value, arrays[value[_ARRAY]])
    if _TUPLE in value:
        return tuple(decoded(value[_TUPLE], arrays))
    if _PAIRS in value:
        return {decoded(key, arrays): decoded(v, arrays) for key, v in value[_PAIRS]}
    return {key: decoded(v, arrays) for key, v in value.items()}


def _array(meta: Mapping[str, Any], array: Any) -> Any:
    if meta["kind"] == "numpy":
        return array
    if meta["kind"] == "number":
        return array[()]
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise CheckpointError(f"it holds arrays of {array.dtype}, which JAX only has when `jax_enable_x64` is on.")
    return jax.random.wrap_key_data(jnp.array(array), impl=meta["key"]) if "key" in meta else jnp.array(array)
