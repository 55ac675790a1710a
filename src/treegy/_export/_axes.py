"""Which axes of the inputs an exported program leaves open, and what they are called."""

from collections.abc import Collection, Iterable, Mapping

import jax
import jax.export
import numpy as np

from .._describe import did_you_mean, listed
from .._errors import InjectionError, MissingMethod
from .._injection._hints import axes_in
from .._injection._inject import annotations
from .._steps._forward import inputs_of, takes_batch
from .._steps._model_like import ModelLike
from .._types import Length, PyTree

BATCH = "batch"

Place = tuple[int, int]
"""Which of the inputs, and which axis of it."""


def checked_varying(varying: object) -> tuple[str, ...]:
    """Return the argument `varying` as a tuple."""
    if isinstance(varying, str) or not isinstance(varying, Iterable):
        raise TypeError(f'`varying` is {varying!r:.100}; a tuple of names of axes is expected, such as ("batch",).')
    names = tuple(varying)
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise TypeError(f'`varying` is {names!r:.100}; names of axes are expected, such as ("batch", "time").')
    return names


def open_shapes(model: ModelLike, x: PyTree, varying: Collection[str]) -> PyTree:
    """Return the shapes of the inputs, in which axes are symbols where their length varies.

    **Arguments:**

    - `x`: arrays or `jax.ShapeDtypeStruct`s. Axes that are symbols already stay.
    - `varying`: the names of axes: `batch`, which is the first of every input, and those of annotations.

    **Raises:** `ValueError` for a name that no axis has.
    """
    leaves, tree = jax.tree.flatten(x)
    names = axis_names(model, x)
    unknown = [name for name in varying if name not in names.values()]
    if unknown:
        raise ValueError(_unknown(unknown[0], set(names.values())))
    symbols = _symbols(leaves, varying)

    def length(place: Place, known: PyTree) -> PyTree:
        return symbols.get(names.get(place, ""), known) if _is_known(known) else known

    def opened(i: int, leaf: PyTree) -> jax.ShapeDtypeStruct:
        shape = tuple(length((i, axis), known) for axis, known in enumerate(leaf.shape))
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    return jax.tree.unflatten(tree, [opened(i, leaf) for i, leaf in enumerate(leaves)])


def axis_names(model: ModelLike, x: PyTree) -> dict[Place, str]:
    """Return the names of the axes of the inputs, as far as there are any."""
    leaves, tree = jax.tree.flatten(x)
    places = [(i, axis) for i, leaf in enumerate(leaves) for axis in range(len(leaf.shape))]
    # Every axis gets a length of its own, by which it is known again.
    length = {place: n for n, place in enumerate(places)}
    marked = jax.tree.unflatten(
        tree,
        [
            jax.ShapeDtypeStruct(tuple(length[i, axis] for axis in range(len(leaf.shape))), leaf.dtype)
            for i, leaf in enumerate(leaves)
        ],
    )
    found = {places[n]: name for name, n in _named_lengths(model, marked)}
    return {**found, **{(i, 0): BATCH for i in range(len(leaves))}}


def _named_lengths(model: ModelLike, x: PyTree) -> list[tuple[str, Length]]:
    """Return the axes that are named by the annotation of `x` in a `pred_step`, or of the module's inputs."""
    hint = annotations(type(model).pred_step).get("x")
    if hint is not None:
        return axes_in(hint, x)
    try:
        inputs = inputs_of(model.module, x, model.state is not None)
    except (InjectionError, MissingMethod):
        return []  # a step may call the module with something else, and else it is told when it is called
    hints = annotations(model.module)
    leading = 0 if takes_batch(model.module, inputs, model.batched) else 1
    return [pair for name, value in inputs.by_name.items() for pair in axes_in(hints.get(name), value, leading)]


def _symbols(leaves: list[PyTree], varying: Iterable[str]) -> Mapping[str, PyTree]:
    """Return a symbol for each name, of the scope of those that the user has made, if there are some."""
    scopes = [n.scope for leaf in leaves for n in leaf.shape if not _is_known(n)]
    scope = scopes[0] if scopes else jax.export.SymbolicScope()
    return {name: jax.export.symbolic_shape(name, scope=scope)[0] for name in varying}


def _is_known(length: object) -> bool:
    return isinstance(length, int | np.integer)


def is_open(x: PyTree) -> bool:
    """Whether any axis of some shapes is a symbol."""
    return any(not _is_known(n) for leaf in jax.tree.leaves(x) for n in leaf.shape)


def _unknown(name: str, there: set[str]) -> str:
    return (
        f"`varying` names the axis {name!r}, and those of `x` are called {listed(sorted(there))}."
        f"{did_you_mean(name, there)} Names are those of the annotations of the module's inputs, such as `x: "
        'Float[Array, "time d"]`. Of an axis without one, pass a shape in which it is a symbol: '
        f'`jax.ShapeDtypeStruct(jax.export.symbolic_shape("batch, {name}, 8"), "float32")`.'
    )
