"""Sequences of ids: what metrics of tokens read, whatever marks their ends."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Num

from ..._converters import integer
from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._elementwise import is_integer
from ..._terms._metric import Metric


class Tokens(NamedTuple):
    """Sequences of ids, those that aren't there at the end."""

    ids: Int[Array, "batch length"]
    """-1 for those that aren't there."""
    counts: Int[Array, "batch"]
    """How many there are."""
    unknown: Bool[Array, "batch"]
    """Whether a score that an id is made of is NaN."""

    @property
    def present(self) -> Bool[Array, "batch length"]:
        return self.ids >= 0


def scored(values: Num[Array, "..."], name: str) -> tuple[Int[Array, "batch length"], Bool[Array, "batch"]]:
    """Return ids `(batch, length)`, and which sequences have NaN: ids as they are, or those of the largest scores.

    **Raises:** [`treegy.ContractError`][] where they are neither integers `(batch, length)` nor floats
    `(batch, length, ids)`.
    """
    if jnp.issubdtype(values.dtype, jnp.floating) and values.ndim == 3:
        return jnp.argmax(values, axis=-1).astype(jnp.int32), jnp.any(jnp.isnan(values), axis=(1, 2))
    if not is_integer(values) or values.ndim != 2:
        scores = ", or scores of them, floats (batch, length, ids)" if name == "y_pred" else ""
        raise ContractError(
            f"`{name}` is {array_name(values)}, and ids are expected: integers (batch, length){scores}."
        )
    return values.astype(jnp.int32), jnp.zeros(values.shape[:1], bool)


def at_front(ids: Array, present: Array, unknown: Array) -> Tokens:
    """Return sequences without what isn't there, in which nothing else changes its place."""
    order = jnp.argsort(~present, axis=-1, stable=True)
    ids = jnp.take_along_axis(jnp.where(present, ids, -1), order, axis=-1)
    return Tokens(ids, jnp.sum(present, axis=-1, dtype=jnp.int32), unknown)


def merged_repetitions(ids: Array) -> Bool[Array, "batch length"]:
    """Return which ids aren't those of the step before."""
    return jnp.concatenate([jnp.ones_like(ids[:, :1], bool), ids[:, 1:] != ids[:, :-1]], axis=1)


class OfTokens(Metric):
    """A metric of sequences of ids, whose lengths may differ."""

    pad_id: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("pad_id", "an id", least=0, optional=True)
    )
    """An id that says that there is none, besides those below 0."""
    end_id: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("end_id", "an id", least=0, optional=True)
    )
    """An id that ends a sequence: neither it nor what comes after it counts."""
    blank_id: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("blank_id", "an id", least=0, optional=True)
    )
    """The blank of [`treegy.losses.CTC`][], which doesn't count; repetitions in `y_pred` are then merged before."""

    def _read(self, values: Num[Array, "..."], name: str) -> Tokens:
        """Return `y_true` or `y_pred` as sequences."""
        ids, unknown = scored(values, name)
        present = ids >= 0
        if self.end_id is not None:
            ended = jax.lax.cummax((ids == self.end_id).astype(jnp.int32), axis=1)
            present = present & (ended == 0)
        if self.pad_id is not None:
            present = present & (ids != self.pad_id)
        if self.blank_id is not None:
            present = present & (ids != self.blank_id)
            if name == "y_pred":
                present = present & merged_repetitions(ids)
        return at_front(ids, present, unknown)

    def _both(self, y_true: Any, y_pred: Any) -> tuple[Tokens, Tokens]:
        """Return labels and predictions as sequences.

        **Raises:** [`treegy.ContractError`][] where they aren't sequences of ids.
        """
        return self._read(y_true, "y_true"), self._read(y_pred, "y_pred")


def unless_unknown(values: Array, *of: Tokens) -> Array:
    """Return values of sequences in floats, NaN where one of these is unknown."""
    values = jnp.asarray(values, jnp.float32)
    for tokens in of:
        unknown = tokens.unknown.reshape(tokens.unknown.shape + (1,) * (values.ndim - 1))
        values = jnp.where(unknown, jnp.full_like(values, jnp.nan), values)
    return values
