"""What is logged, in the form in which it is carried from step to step."""

import dataclasses
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._describe import describe, is_arraylike, listed
from .._types import Function, PyTree, Values
from ._accumulator import Accumulator, Mean, compute_all, is_accumulator


class Place(eqx.Module):
    """Where an accumulator stands among the parts of the logs."""

    index: int = eqx.field(static=True)


class StepLogs(Accumulator):
    """Accumulators by name, of which equal ones are kept and merged once: those behind a total and behind its parts, or
    a matrix and the metric values that are made of it.

    Equal are those that hold the same arrays, which no trace can get wrong.
    """

    parts: tuple[Accumulator, ...]
    """The accumulators that differ, each of which is merged as a whole."""
    metric_values: OrderedDict[str, Any]
    """What is made of them, by name: accumulators that have places for their parts, and so no arrays."""
    stacked: bool = eqx.field(default=False, static=True)
    """Whether all arrays have an axis of models in front: those of a stack of models."""

    @staticmethod
    def of(accumulators: Mapping[str, Accumulator]) -> "StepLogs":
        """Return the logs of some accumulators, in their order."""
        parts: list[Accumulator] = []
        known: dict[Hashable, Place] = {}

        def placed(part: Accumulator) -> Place:
            leaves, structure = jax.tree.flatten(part)
            key = (structure, tuple(id(leaf) for leaf in leaves))
            if key not in known:
                known[key] = Place(len(parts))
                parts.append(part)
            return known[key]

        # Ordered, as plain dicts come back from jax sorted by key, and `loss` is to stand first.
        metric_values = jax.tree.map(placed, OrderedDict(accumulators), is_leaf=_is_whole)
        return StepLogs(tuple(parts), metric_values)

    @property
    def each(self) -> OrderedDict[str, Any]:
        """The accumulators by name."""
        return jax.tree.map(lambda place: self.parts[place.index], self.metric_values, is_leaf=_is_place)

    def of_stack(self) -> "StepLogs":
        """Return these logs, whose arrays are those of a stack of models."""
        return StepLogs(self.parts, self.metric_values, stacked=True)

    def of_one(self) -> "StepLogs":
        """Return the logs of a stack as those of one model, for whoever maps over the models."""
        return StepLogs(self.parts, self.metric_values)

    def _of_each(self, function: Function) -> Function:
        """Return a function of accumulators, for all models of a stack."""
        return jax.vmap(function) if self.stacked else function

    def empty(self) -> "StepLogs":
        parts = self._of_each(lambda parts: tuple(part.empty() for part in parts))(self.parts)
        return dataclasses.replace(self, parts=parts)

    def merge(self, other: "StepLogs") -> "StepLogs":
        mine, structure = jax.tree.flatten(self.metric_values, is_leaf=_is_place)
        theirs, same = jax.tree.flatten(other.metric_values, is_leaf=_is_place)
        pairs = {(a.index, b.index) for a, b in zip(mine, theirs, strict=False)}
        # Where the other shares more, its equals will do. Where it shares less, they are none.
        if structure != same or len(pairs) != len(self.parts):
            raise ValueError(
                f"what is logged is made otherwise than before: {listed(other.metric_values)}, and before "
                f"{listed(self.metric_values)}. Steps log the same from batch to batch."
            )

        def merge(mine: PyTree, theirs: PyTree) -> PyTree:
            return tuple(mine[i].merge(theirs[j]) for i, j in sorted(pairs))

        return dataclasses.replace(self, parts=self._of_each(merge)(self.parts, other.parts))

    def compute(self) -> PyTree:
        return self._of_each(compute_all)(self.each)


def _is_whole(value: PyTree) -> bool:
    return is_accumulator(value) and not value.merges_parts


def _is_place(value: object) -> bool:
    return isinstance(value, Place)


def lifted(step: str, logs: Values, size: int) -> OrderedDict[str, Any]:
    """Logs as accumulators: numbers become their means over examples. Nested dicts become prefixes."""
    flat: OrderedDict[str, Any] = OrderedDict()
    for name, value in logs.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{k}": v for k, v in lifted(step, value, size).items()})
        elif is_accumulator(value):
            flat[name] = value
        elif isinstance(value, bool | int | float) or is_arraylike(value):
            flat[name] = Mean.of_batch(value, size)
        else:
            raise TypeError(
                f"step `{step}` logs {name!r} as {describe(value)}; expected are numbers, arrays and `Accumulator`s."
            )
    return flat


def empty_logs(run: Function, *args: PyTree) -> StepLogs:
    """Return the accumulators of no examples, of the shapes that `run(*args)` returns as logs. Nothing is computed."""
    shapes = eqx.filter_eval_shape(run, *args)
    # Arrays also within a trace, which nothing here depends on.
    with jax.ensure_compile_time_eval():
        zeros = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype) if isinstance(s, jax.ShapeDtypeStruct) else s, shapes
        )
        return zeros.empty()
