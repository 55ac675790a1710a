"""How values and places in a PyTree are spelled in errors, tables and warnings."""

import difflib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state
from jax.tree_util import DictKey, GetAttrKey, keystr

from ._types import KeyPath, PyTree

T = TypeVar("T")

with jax.ensure_compile_time_eval():
    _NO_TRANSFORMATION = get_opaque_trace_state()

_SHORT = {
    "float": "f",
    "bfloat": "bf",
    "int": "i",
    "uint": "u",
    "complex": "c",
}


def dtype_name(dtype: object) -> str:
    """Return the short name of a dtype: `f32`, `bf16`, `i32`, `bool`, `key<fry>`."""
    name = str(dtype)
    for long in ("bfloat", "float", "uint", "int", "complex"):
        if name.startswith(long):
            return _SHORT[long] + name.removeprefix(long)
    return name


def array_name(value: PyTree) -> str:
    """`f32[32,1]` for anything that has a shape and a dtype."""
    shape = ",".join(str(n) for n in value.shape)
    return f"{dtype_name(value.dtype)}[{shape}]"


def is_arraylike(value: object) -> bool:
    """Whether `value` has a shape and a dtype (arrays, tracers, shape structs, NumPy scalars)."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def is_traced(value: object) -> bool:
    """Whether any leaf of `value` is being traced by a jax transformation."""
    if type(value) is np.ndarray:
        return False
    # Asking of each node whether it is an iterator, which modules don't hold, takes longer than all the rest.
    is_leaf = None if isinstance(value, eqx.Module) else is_iterator
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value, is_leaf=is_leaf))


def is_transformed(*values: object) -> bool:
    """Whether any of some values is being traced, or all that is made here, as under `jit`."""
    # The first question costs a fraction of the others, and is answered so nearly always.
    return get_opaque_trace_state() != _NO_TRANSFORMATION and is_traced((*values, jnp.zeros(())))


def is_iterator(value: object) -> bool:
    """Whether `value` is a generator or the like, which jax warns of where it finds it in a PyTree."""
    return isinstance(value, Iterator)


def is_key(value: PyTree) -> bool:
    """Whether an array holds typed PRNG keys."""
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def describe(value: object, limit: int = 6) -> str:
    """One line that says what `value` is: dtype and shape of arrays, the first items of containers."""
    if is_arraylike(value):
        return array_name(value)
    if value is None or isinstance(value, bool | int | float | complex | str):
        text = repr(value)
        return text if len(text) <= 40 else text[:37] + "..."
    if isinstance(value, eqx.Module) and isinstance(value, Mapping):
        return f"{type(value).__name__}({', '.join(value)})"  # states: which fields there are says enough
    if isinstance(value, Mapping):
        items = [f"{k!r}: {describe(v, 3)}" for k, v in list(value.items())[:limit]]
        return _bracket("{", items, len(value) > limit, "}")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(getattr(value, "_fields"), value, strict=True)  # noqa: B009
        items = [f"{k}={describe(v, 3)}" for k, v in list(fields)[:limit]]
        return _bracket(f"{type(value).__name__}(", items, len(value) > limit, ")")
    if isinstance(value, list | tuple):
        items = [describe(v, 3) for v in value[:limit]]
        left, right = ("(", ",)" if len(value) == 1 else ")") if isinstance(value, tuple) else ("[", "]")
        return _bracket(left, items, len(value) > limit, right)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"an instance of {type(value).__name__}"


def _bracket(left: str, items: Sequence[str], more: bool, right: str) -> str:
    return left + cut(", ".join([*items, "..."] if more else items)) + right


def cut(text: str, length: int = 300) -> str:
    """Return a text of at most so many characters: an error says where to look, and data may have any size."""
    return text if len(text) <= length else text[: length - 3] + "..."


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names for a sentence: `a, b, c`; of many the first ones, and how many more there are."""
    there = [str(name) for name in names]
    more = len(there) - most
    return ", ".join(cut(name, 60) for name in there[:most]) + (f", and {more} more" if more > 0 else "")


def did_you_mean(name: str, names: Iterable[str], spelled: Callable[[str], str] = "`{}`".format) -> str:
    """Return a question with the nearest of some names, to end an error with; nothing where none is near.

    **Arguments:**

    - `name`: what was given.
    - `names`: what there is.
    - `spelled`: how a name is quoted.
    """
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {spelled(near[0])}?" if near else ""


def path_name(path: KeyPath) -> str:
    """Return a key path as one would write it in Python: `.layers[0].weight`, `['a']`.

    The private dictionary in which `States` holds its fields doesn't show: `.net_params`, not `._fields['net_params']`.
    """
    keys = list(path)
    for i, key in enumerate(keys[:-1]):
        if isinstance(key, GetAttrKey) and key.name == "_fields" and isinstance(keys[i + 1], DictKey):
            keys[i] = None
            keys[i + 1] = GetAttrKey(keys[i + 1].key)
    return keystr(tuple(k for k in keys if k is not None))


def leaf_name(value: object) -> str:
    """Return what stands at a leaf: an array's dtype and shape, or the value itself."""
    if is_arraylike(value) and not isinstance(value, np.generic):
        return array_name(value)
    return describe(value)


def differences(
    expected: Mapping[str, T], found: Mapping[str, T], alike: Callable[[T, T], bool] = operator.eq
) -> list[tuple[str, T | None, T | None]]:
    """Return what two sets of named leaves don't have alike: the name, what was expected, and what was found.

    Those that were expected come first, in their order. `None` stands for what isn't there.

    **Arguments:**

    - `expected`, `found`: the leaves, or what is known of them such as `array_name`, by their names.
    - `alike`: whether two are the same.
    """
    differ: list[tuple[str, T | None, T | None]] = []
    differ += [(n, a, found.get(n)) for n, a in expected.items() if n not in found or not alike(a, found[n])]
    differ += [(n, None, a) for n, a in found.items() if n not in expected]
    return differ
