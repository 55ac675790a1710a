"""`summary`: the layers of a model, and what its losses and metrics read. From shapes alone."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax

from .._data._as_arrays import as_arrays
from .._data._batch import Batch
from .._describe import describe, is_arraylike, path_name
from .._steps._assembly import partitioned
from .._steps._bind_self import bound_to
from .._steps._dispatch import is_default
from .._steps._homes import homes_of
from .._steps._model_like import ModelLike
from .._steps._prepare import prepared
from .._steps._stacks import first_of, size_of_stack
from .._steps._states import States
from .._types import AnyArray, KeyPath, PyTree
from ._counts import count, is_inexact, leaves_of
from ._layers import Seat, layers, observed
from ._reads import Injection, first_line, injections, type_name
from ._shared_layers import shared
from ._summary_tables import Entry, injection_table, layer_table, size_text
from ._table import Column, Table, as_html, as_text


@dataclass(frozen=True, repr=False)
class Summary:
    """What [`treegy.Model.summary`][] found. It prints as a table, and shows as one in notebooks."""

    rows: tuple[Entry, ...]
    """The layers, from the outside in."""
    injections: tuple[Injection, ...]
    """What module, losses and metrics read."""
    trainable: int
    """How many numbers are trained."""
    trainable_bytes: int
    other: int
    """How many of the module and of its `eqx.nn.State` are not."""
    other_bytes: int
    optimizer: int
    """How many numbers the states of the optimizer have; 0 before there are any."""
    optimizer_bytes: int
    notes: tuple[str, ...] = ()
    """What else is worth knowing, such as why there are no outputs."""
    devices: int = 1
    """Over how many devices the model is distributed."""
    device: int = 0
    """How many of all these numbers each of several devices has."""
    device_bytes: int = 0

    def __str__(self) -> str:
        width = shutil.get_terminal_size((120, 24)).columns
        return as_text(self._tables(), self.notes, width)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self._tables(), self.notes)

    def _tables(self) -> list[Table]:
        tables = [layer_table(self.rows), self._totals()]
        return [*tables, injection_table(self.injections)] if self.injections else tables

    def _totals(self) -> Table:
        rows = [
            ("Trainable", self.trainable, self.trainable_bytes),
            ("Other", self.other, self.other_bytes),
            ("All", self.trainable + self.other, self.trainable_bytes + self.other_bytes),
        ]
        if self.optimizer:
            rows.append(("Optimizer", self.optimizer, self.optimizer_bytes))
        if self.devices > 1:
            rows.append((f"On each of {self.devices} devices", self.device, self.device_bytes))
        columns = (Column("Total"), Column("Count", True), Column("Size", True))
        return Table(columns, [(name, f"{n:,}", size_text(b)) for name, n, b in rows])


def summarize(model: ModelLike, x: PyTree, y: PyTree, depth: int) -> Summary:
    """Return the summary of a model on a batch. Nothing is computed or compiled.

    **Arguments:**

    - `model`: a `Model`.
    - `x`, `y`: arrays or shapes, or `None`.
    - `depth`: how many levels of layers below the module itself there are rows for.
    """
    x, y = _shapes(x, "x"), _shapes(y, "y")
    models, model = size_of_stack(model), first_of(model)
    notes = [] if models is None else [f"this is one of the {models} models of a stack"]
    states = _states(model, x, y, notes)
    rows = _checked(model.call_summary_step(x=x, states=states))
    read = injections(model, states, x, y, notes)
    model = bound_to(model, states)
    leaves = leaves_of(model, states)
    notes += _notes_of_shared(states)
    trainable = count(leaf.value for leaf in leaves if leaf.trainable)
    other = count(leaf.value for leaf in leaves if not leaf.trainable)
    optimizer = count(jax.tree.leaves(states.get("optimizer_states")))
    counts = (*trainable, *other, *optimizer)
    return Summary(_down_to(depth, rows), tuple(read), *counts, tuple(notes), *_on_each_device(model, states))


def summary_step(model: ModelLike, *, x: PyTree, states: States) -> list[Entry]:
    """Return the rows for all layers, from the outside in; those too deep are left out later.

    A model without a module has one for each of the topmost parts of `states.net_params`.
    """
    leaves = leaves_of(model, states)
    if model.module is None:
        return _parts(states.get("net_params"))
    returned = {} if x is None else _outputs(model, states, _shapes(x, "x"))
    rows: list[Entry] = []
    for path, node in layers(model.module):
        inside = [leaf for leaf in leaves if leaf.path[: len(path)] == path]
        trainable = count(leaf.value for leaf in inside if leaf.trainable)
        other = count(leaf.value for leaf in inside if not leaf.trainable)
        rows.append(Entry(path_name(path), type_name(node), returned.get(path, ""), *trainable, *other))
    return rows


def _parts(net_params: PyTree) -> list[Entry]:
    """Return the rows of a model that has no module: its parameters, and the topmost parts of these."""
    if net_params is None:
        return []
    top = jax.tree_util.tree_flatten_with_path(net_params, is_leaf=lambda n: n is not net_params)[0]
    places = [((), net_params), *((path, part) for path, part in top if path)]
    rows: list[Entry] = []
    for path, part in places:
        values = [leaf for leaf in jax.tree.leaves(part) if is_arraylike(leaf)]
        trainable = count(leaf for leaf in values if is_inexact(leaf))
        other = count(leaf for leaf in values if not is_inexact(leaf))
        name = describe(part) if is_arraylike(part) else type_name(part)
        rows.append(Entry("net_params" + path_name(path), name, "", *trainable, *other))
    return rows


def _on_each_device(model: ModelLike, states: States) -> tuple[int, int, int]:
    """Return over how many devices a model is distributed, and how many numbers and bytes each of them has."""
    homes = homes_of(model)
    if homes is None:
        return 1, 0, 0
    held = {name: states.get(name) for name in ("net_params", "net_states", "state", "optimizer_states")}
    arrays = [leaf for leaf in jax.tree.leaves(held) if is_arraylike(leaf)]
    shardings = jax.tree.leaves(homes.shardings(held))
    parts = [math.prod(s.shard_shape(a.shape)) for s, a in zip(shardings, arrays, strict=True)]
    sizes = [n * a.dtype.itemsize for n, a in zip(parts, arrays, strict=True)]
    return homes.strategy.mesh.size, sum(parts), sum(sizes)


def _notes_of_shared(states: States) -> list[str]:
    pairs = shared(states.get("net_params"))
    if not pairs:
        return []
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return [
        f"{', '.join(pairs[:3])}{more}: each the same array, counted once. Training makes two of it, as everywhere in "
        "Equinox; `eqx.nn.Shared` ties layers together."
    ]


def _down_to(depth: int, rows: Sequence[Entry]) -> tuple[Entry, ...]:
    paths = {row.path for row in rows}

    def level(path: str) -> int:
        ends = [i for i, c in enumerate(path) if c in ".[" and path[:i] in paths]
        return len(ends)

    return tuple(row for row in rows if level(row.path) <= depth)


def _checked(rows: list[PyTree]) -> list[Entry]:
    """Return the rows that a step has returned, or raise."""
    entries: list[Entry] = []
    for i, row in enumerate(rows):
        if not isinstance(row, tuple | list) or not 1 <= len(row) <= len(Entry._fields):
            raise TypeError(
                f"step `summary_step` must return a list of entries ({', '.join(Entry._fields)}); its item {i} is "
                f"{describe(row)}."
            )
        entries.append(Entry(*row))
    return entries


def _outputs(model: ModelLike, states: States, x: PyTree) -> dict[KeyPath, str]:
    """Return what the layers return when the model predicts for `x`."""

    def run(states: States, x: PyTree) -> PyTree:
        return model.call_pred_step(x=x, states=states, initializing=False, training=False)[0]

    seats: dict[KeyPath, Seat] = {}

    def seat(path: KeyPath, node: PyTree) -> Seat:
        return seats.setdefault(path, Seat())

    parts = {n: observed(states[n], seat) for n in ("net_params", "net_states") if n in states}
    try:
        y_pred = eqx.filter_eval_shape(run, states.update(**parts), x)
    except Exception:  # either watching it disturbs it, or it can't be called at all: then a note says why
        seats = {}
        try:
            y_pred = eqx.filter_eval_shape(run, states, x)
        except Exception:
            return {}
    found = {path: str(seat) for path, seat in seats.items()}
    if is_default(model, "call_pred_step", "pred_step"):
        found[()] = describe(y_pred)
    return found


def _shapes(value: PyTree, name: str) -> PyTree:
    """Return the shapes of data, with the dtypes that jax gives it."""
    known, rest = eqx.partition(value, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct | jax.Array))
    if not jax.tree.leaves(known):
        known = as_arrays(value, name)
    elif jax.tree.leaves(rest):
        known = eqx.combine(known, as_arrays(rest, name))
    return jax.tree.map(_shape, known)


def _shape(leaf: AnyArray | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype, allow_extended_dtype=True))


def _states(model: ModelLike, x: PyTree, y: PyTree, notes: list[str]) -> States:
    """Return the states of a model; of a new one, those that its steps would make for such a batch."""
    abstract = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(model))
    if model.initialized and not abstract:
        return model.states
    # Even making a key compiles a program, so that what the model doesn't have yet is shapes too.
    states: States = eqx.filter_eval_shape(lambda m: m.states, model)
    if x is not None and not model.initialized:
        kind = "pred" if y is None else "train"
        try:
            states = eqx.filter_eval_shape(lambda m, e: prepared(m, kind, e).states, model, Batch(x, y))
        except Exception as e:
            notes.append(f"the states are those before `init`, which raises {first_line(e)}")
    if abstract or model.module is None:
        return states
    # The arrays themselves where there are any: they tell which of them are one and the same.
    net_params, net_states = partitioned(model.module, model.trainable)
    own = {"net_params": net_params, "net_states": net_states, "state": model.state}
    return states.update(**{n: v for n, v in own.items() if _alike(v, states.get(n))})


def _alike(a: PyTree, b: PyTree) -> bool:
    """Whether two trees have the same structure, and arrays of the same shapes and dtypes."""
    (leaves_a, tree_a), (leaves_b, tree_b) = jax.tree.flatten(a), jax.tree.flatten(b)
    return tree_a == tree_b and all(
        (p.shape, p.dtype) == (q.shape, q.dtype)
        for p, q in zip(leaves_a, leaves_b, strict=True)
        if is_arraylike(p) and is_arraylike(q)
    )
