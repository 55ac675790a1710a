"""Whether inputs are those that a program was exported for, and what to say where they aren't."""

import jax
from jax.tree_util import tree_leaves_with_path

from .._describe import array_name, describe, is_key, path_name
from .._errors import ContractError
from .._types import AnyArray, PyTree

_SHOWN = 12


def check_inputs(x: PyTree, expected: PyTree) -> None:
    """Refuse inputs that a program doesn't take.

    **Arguments:**

    - `x`: a PyTree of arrays.
    - `expected`: the shapes and dtypes; an axis of any length is a symbol.

    **Raises:** [`treegy.ContractError`][] that names what doesn't fit, and says what would.
    """
    if jax.tree.structure(x) != jax.tree.structure(expected):
        raise ContractError(
            f"`x` has another structure than the inputs that the model was exported with.\n"
            f"  expected: {describe(expected)}\n"
            f"  x = {describe(x)}"
        )
    lengths: dict[str, tuple[int, str]] = {}
    lines: list[str] = []
    wrong = ""
    for (path, array), shape in zip(tree_leaves_with_path(x), jax.tree.leaves(expected), strict=True):
        name = f"x{path_name(path)}"
        fault = "" if wrong else _fault(name, array, shape, lengths)
        lines.append(f"  {'>' if fault else ' '} {name} : {array_name(shape)} = {array_name(array)}")
        wrong = wrong or fault
    if wrong:
        shown = [line for i, line in enumerate(lines) if i < _SHOWN or line.startswith("  >")]
        raise ContractError(
            "`x` doesn't fit the inputs that the model was exported with.\n" + "\n".join(shown) + f"\n  {wrong}"
        )


def _fault(name: str, array: AnyArray, shape: jax.ShapeDtypeStruct, lengths: dict[str, tuple[int, str]]) -> str:
    """Return what is wrong about one array.

    **Arguments:**

    - `lengths`: of the axes of any length that were met, and of which array they are. What is met is added.
    """
    if is_key(array):
        return f"Keys are passed as what they consist of: `jax.random.key_data(...)` of `{name}`."
    if jax.dtypes.canonicalize_dtype(array.dtype) != shape.dtype:
        return f"`{name}` is of dtype {array.dtype}, and {shape.dtype} is expected: nothing is converted."
    if len(array.shape) != len(shape.shape):
        return f"`{name}` has {_axes(len(array.shape))}, and {len(shape.shape)} are expected."
    for axis, (length, wanted) in enumerate(zip(array.shape, shape.shape, strict=True)):
        if isinstance(wanted, int):
            if length != wanted:
                return f"Axis {axis} of `{name}` has the length {length}, and {wanted} is expected."
            continue
        symbol = str(wanted)
        if not symbol.isidentifier():
            continue  # JAX solves for what is computed of symbols, and says so where there is no solution
        known, by = lengths.setdefault(symbol, (length, name))
        if length != known:
            return f"The axis `{symbol}` has the length {length} in `{name}`, and {known} in `{by}`."
        if length == 0:
            return f"The axis `{symbol}` of `{name}` has the length 0, and at least 1 is expected."
    return ""


def _axes(n: int) -> str:
    return "1 axis" if n == 1 else f"{n} axes"
